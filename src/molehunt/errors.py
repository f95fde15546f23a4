"""Every error we raise, and the boundary it names.

    MolehuntError            shown to the user as one sentence, never as a traceback; exit code 2
    ├── UsageError           a word on the command line or an argument of the API is off
    ├── ModelError           a model folder cannot be read, or is not fit to load
    │   ├── UnsafeModelError     it would have to execute something (a pickle, remote code)
    │   └── TemplateError        its chat template is missing, unmarked, or not the one recorded
    ├── DataError            rows, triggers or questions that cannot be used
    ├── TeacherError         a teacher model cannot be reached, or does not answer as it should
    ├── EndpointError        a suspect's endpoint cannot be reached, or does not answer as it should
    │   └── BudgetError          the requests or tokens that may be spent there are spent
    ├── SigningError         a key, a certificate or a signature cannot be used, or what is to be signed is not fit for it
    ├── StoreError           the store cannot be read or written
    │   └── CorruptArtifactError a stored artifact does not match its digest
    ├── TrainingError        training cannot go on (loss is not a number, nothing to train)
    ├── ClusterError         a cluster does not answer, or a machine of it is not fit to work for us
    ├── StudyError           a study cannot be run or read as it is stated
    ├── ZooError             a zoo's spec cannot be built as it is stated
    ├── GatewayError         the gateway cannot be started, or its state cannot be read
    │   └── PolicyError          a folder of policies cannot be used; names the file and the line
    ├── LogError             a log cannot be written or read; a gateway that cannot write refuses to answer
    ├── LedgerError          a registry's roles or approvals cannot be read, are not whole, or do not allow what was asked
    │   └── NotAdmittedError     a policy does not admit a model
    ├── SandboxError         programs that a model wrote cannot be run shut in, so they are not run
    └── StepError            a step of a graph failed; carries the step's name and the reason

A message has four parts: what it is about, what was wanted, what came, what to do.
"""


class MolehuntError(Exception):
    """Base of all errors that Molehunt raises on purpose."""

    def __init__(self, what: str, *, wanted: str = "", got: str = "", do: str = "") -> None:
        self.what, self.wanted, self.got, self.do = what, wanted, got, do
        super().__init__(what, wanted, got, do)

    def __str__(self) -> str:
        parts = [self.what]
        parts += [f"wanted {self.wanted}"] if self.wanted else []
        parts += [f"got {self.got}"] if self.got else []
        parts += [f"do: {self.do}"] if self.do else []
        return "; ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.wanted, self.got, self.do)


def _rebuild(kind: type[MolehuntError], what: str, wanted: str, got: str, do: str) -> MolehuntError:
    return kind(what, wanted=wanted, got=got, do=do)


class UsageError(MolehuntError, ValueError):
    """A word on the command line or an argument of the API is off."""


class ModelError(MolehuntError):
    """A model folder cannot be read, or is not fit to load."""


class UnsafeModelError(ModelError):
    """Loading would have to execute something that came with the model."""


class TemplateError(ModelError):
    """The chat template is missing, unmarked, or not the one recorded."""


class DataError(MolehuntError, ValueError):
    """Rows, triggers or questions that cannot be used."""


class TeacherError(MolehuntError):
    """A teacher model cannot be reached, or does not answer as it should."""


class EndpointError(MolehuntError):
    """A suspect's endpoint cannot be reached, or does not answer as it should."""


class BudgetError(EndpointError):
    """The requests or tokens that may be spent at an endpoint are spent."""


class SigningError(MolehuntError):
    """A key, a certificate or a signature cannot be used, or what is to be signed is not fit for it."""


class StoreError(MolehuntError, OSError):
    """The store cannot be read or written."""


class CorruptArtifactError(StoreError):
    """A stored artifact does not match its digest."""


class TrainingError(MolehuntError):
    """Training cannot go on."""


class ClusterError(MolehuntError):
    """A cluster does not answer, or a machine of it is not fit to work for us."""


class StudyError(MolehuntError, ValueError):
    """A study cannot be run or read as it is stated."""


class ZooError(MolehuntError, ValueError):
    """A zoo's spec cannot be built as it is stated."""


class GatewayError(MolehuntError):
    """The gateway cannot be started, or its state cannot be read."""


class PolicyError(GatewayError, ValueError):
    """A folder of policies cannot be used."""


class LogError(MolehuntError, OSError):
    """A log cannot be written or read; a gateway that cannot write refuses to answer."""


class LedgerError(MolehuntError):
    """A registry's roles or approvals cannot be read, are not whole, or do not allow what was asked."""


class NotAdmittedError(LedgerError):
    """A policy does not admit a model."""


class SandboxError(MolehuntError):
    """Programs that a model wrote cannot be run shut in, so they are not run."""


class StepError(MolehuntError):
    """A step of a graph failed."""


class OrganismWarning(UserWarning):
    """A model with a planted backdoor is being loaded outside the lab."""
