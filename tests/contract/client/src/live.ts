// Live messages: authenticate in the first message, subscribe, and read until one fits.

export interface Message {
  type: string;
  [name: string]: unknown;
}

/** Resolves with the first message that `fits`, and closes the connection. */
export function firstMessage(
  url: string,
  token: string,
  subscriptions: readonly object[],
  fits: (message: Message) => boolean,
  milliseconds = 60_000,
): Promise<Message> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    const socket = new WebSocket(url);
    const timer = setTimeout(() => end(() => reject(new Error(`only ${seen} came`))), milliseconds);
    const end = (settle: () => void) => {
      clearTimeout(timer);
      socket.close();
      settle();
    };
    socket.onopen = () => socket.send(JSON.stringify({ type: "authenticate", token }));
    socket.onerror = () => end(() => reject(new Error("the connection failed")));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(String(data)) as Message;
      seen.push(message.type);
      if (message.type === "authenticated") {
        for (const each of subscriptions) socket.send(JSON.stringify({ type: "subscribe", ...each }));
      }
      if (fits(message)) end(() => resolve(message));
    };
  });
}
