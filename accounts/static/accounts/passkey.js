"use strict";

// A form with data-passkey asks an authenticator and submits what it answers.

function usable(form) {
  const rpId = form.dataset.rp;
  const here = window.location.hostname;
  return window.PublicKeyCredential
    && window.PublicKeyCredential.parseRequestOptionsFromJSON
    && (here === rpId || here.endsWith("." + rpId));
}

async function askServer(form) {
  const answer = await fetch(form.dataset.options, {
    method: "POST",
    headers: {"X-CSRFToken": form.elements.csrfmiddlewaretoken.value},
  });
  const options = await answer.json();
  if (!answer.ok) {
    throw new Error(options.message);
  }
  return options;
}

async function askAuthenticator(form) {
  const options = await askServer(form);
  if (form.dataset.passkey === "create") {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return navigator.credentials.create({publicKey});
  }
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return navigator.credentials.get({publicKey});
}

function prepare(form) {
  if (!usable(form)) {
    return;
  }
  const problem = form.querySelector("[role=alert]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    if (form.elements.passkey.value) {
      return;
    }
    event.preventDefault();
    problem.hidden = true;
    try {
      const credential = await askAuthenticator(form);
      form.elements.passkey.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch (error) {
      problem.textContent = error.name === "NotAllowedError"
        ? "No passkey was used. Please try again." : error.message;
      problem.hidden = false;
    }
  });
}

document.querySelectorAll("form[data-passkey]").forEach(prepare);
