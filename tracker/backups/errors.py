"""What can go wrong with a copy. No text holds a key, a password or a row."""


class BackupError(Exception):
    """Base of what can go wrong here."""


class NotReadable(BackupError):
    """A file was changed, cut off, swapped for another one, or is sealed by a key we lack."""


class NotWhole(BackupError):
    """A dump does not hold what the database held."""


class ProgramFailed(BackupError):
    """pg_dump or pg_restore is missing, too old, or ended with an error."""


class AlreadyRunning(BackupError):
    """Another process is at it."""


class NothingThere(BackupError):
    """There is no such copy."""
