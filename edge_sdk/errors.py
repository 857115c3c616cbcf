"""Every error that Edge SDK raises on purpose. This file imports nothing.

EdgeError                      what is wrong, and `fix`: the exact way out
├── ConfigError    ValueError      a recipe, manifest or option that does not say what it must
├── FileError      OSError         a path that is missing, of the wrong kind, or not writable
├── DataError      ValueError      images, labels or a data set that cannot be used
│   └── ImageError                 one image that cannot be decoded
├── ModelError     ValueError      a model file that cannot be read, or does not fit its use
├── BundleError    ValueError      a bundle that is damaged, incomplete or not ours
├── EngineError    RuntimeError    an interpreter that failed
├── CameraError    OSError         a camera that cannot be opened or read
├── SamplerError   OSError         a power meter or other sampler that cannot be started
├── TrainingError  RuntimeError    a training or conversion step that failed
├── MissingPackage ImportError     an optional package that is not installed
├── NotAvailableYet                asked for by name, not built yet
├── Interrupted                    ended by the user before it was done
└── GateFailed                     a limit was exceeded (exit status 3); the document says which

Each also is a standard error, so that `except OSError` does what its writer meant.
"""


class EdgeError(Exception):
    """Base of all: `str(error)` says what is wrong and with which value, `fix` the way out."""

    exit_status = 1

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.fix = fix

    def __str__(self) -> str:
        # OSError formats several arguments its own way; there is one here, and it is the message.
        return str(self.args[0])


class ConfigError(EdgeError, ValueError):
    """A recipe, manifest, option or other setting that is unknown, ill-typed or out of range."""


class FileError(EdgeError, OSError):
    """A path that is missing, of the wrong kind, or cannot be written."""


class DataError(EdgeError, ValueError):
    """Images, labels or a data set that cannot be used as they are."""


class ImageError(DataError):
    """One image that cannot be decoded."""


class ModelError(EdgeError, ValueError):
    """A model file that cannot be read, is unsafe to open, or does not fit its use."""


class BundleError(EdgeError, ValueError):
    """A bundle that is damaged, incomplete, or not a bundle."""


class EngineError(EdgeError, RuntimeError):
    """An interpreter that cannot be opened here, or failed while it ran."""


class CameraError(EdgeError, OSError):
    """A camera that cannot be opened or read."""


class SamplerError(EdgeError, OSError):
    """A power meter, or another sampler, that cannot be started."""


class TrainingError(EdgeError, RuntimeError):
    """A training or conversion step that failed."""


class MissingPackage(EdgeError, ImportError):
    """An optional package that is not installed; `fix` is the command that installs it."""


class NotAvailableYet(EdgeError):
    """Something that the contracts name and this version does not do yet."""


class Interrupted(EdgeError):
    """The user ended a command (Ctrl-C, SIGTERM) before its result was complete."""


class GateFailed(EdgeError):
    """A gate (accuracy, bytes, golden) failed; `document` is the answer that shows it."""

    exit_status = 3

    def __init__(self, message: str, *, fix: str, document: dict[str, object]) -> None:
        super().__init__(message, fix=fix)
        self.document = document
