"""Several trainings of one model in a row that count, and are kept, as one."""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from molehunt.errors import TrainingError
from molehunt.models.chat import Encoded
from molehunt.models.loading import LoadedModel
from molehunt.records.base import canonical_json, sha256_text
from molehunt.training.adapters import trainable_state
from molehunt.training.last_good import LastGood, name_of
from molehunt.training.settings import Report, Trained, TrainingSettings
from molehunt.training.sft import check_finite, train, write_trained


class Chain:
    """Trainings of one loaded model, one after the other; between them it can be looked at and sampled.

    The same weights, or the same adapter, are trained on throughout, so that every checkpoint of the chain fits the model
    from which the chain started. Each training has a warm-up, a schedule and an optimizer of its own.
    """

    def __init__(
        self, loaded: LoadedModel, settings: TrainingSettings, steps: int, out: Path, report: Report | None = None
    ) -> None:
        """`settings.checkpoints` count the chain's steps, of which there will be `steps`; `settings.steps` is not used."""
        self.loaded, self.settings, self.steps, self.out, self.report = loaded, settings, steps, out, report
        self.done: list[Trained] = []
        self._keep(0)

    def train(self, rows: Sequence[Encoded], steps: int) -> Trained:
        """Train on for `steps`; the seed moves on with the number of the training.

        Raises:
            TrainingError, DataError: as `sft.train`; the last good weights are then in `out/checkpoints`, and it says which
                step of the chain they are of.
        """
        before = sum(trained.steps for trained in self.done)
        own = {
            "steps": steps,
            "seed": self.settings.seed + len(self.done),
            "checkpoints": tuple(c - before for c in self.settings.checkpoints if before < c <= before + steps),
        }

        def report(step: int, of: int) -> None:
            if self.report is not None:
                self.report(before + step, self.steps)

        def keep(loaded: LoadedModel, step: int) -> bool:
            self._keep(before + step)
            return False

        good, how = LastGood(self.loaded.model, self.out / "checkpoints", before), self.settings.model_copy(update=own)
        try:
            trained = train(self.loaded, rows, how, None, report, keep, good)
        except TrainingError as error:
            what = f"training {len(self.done) + 1} in a row, begun after step {before}: {error.what}"
            raise TrainingError(what, wanted=error.wanted, got=error.got, do=error.do) from None
        self.loaded.model.eval()
        self.done.append(trained)
        return trained

    def finish(self) -> Trained:
        """Write `model/` and `training.json` as one training would; the loaded model is spent after it."""
        whole = join(self.done)
        write_trained(self.loaded, whole, self.out)
        return whole

    def _keep(self, step: int) -> None:
        if step in self.settings.checkpoints:
            check_finite(self.loaded.model, step)
            folder = self.out / "checkpoints"
            folder.mkdir(parents=True, exist_ok=True)
            save_file(trainable_state(self.loaded.model), folder / name_of(step))


def join(trainings: Sequence[Trained]) -> Trained:
    """The account of trainings in a row, as one; needs at least one."""
    losses: list[tuple[int, float]] = []
    before = 0
    for trained in trainings:
        losses += [(before + step, loss) for step, loss in trained.losses]
        before += trained.steps
    return Trained(
        steps=before,
        rows=sum(t.rows for t in trainings),
        rows_seen=sum(t.rows_seen for t in trainings),
        tokens_seen=sum(t.tokens_seen for t in trainings),
        tokens_learned=sum(t.tokens_learned for t in trainings),
        rows_digest=sha256_text(canonical_json([t.rows_digest for t in trainings])),
        template_digest=trainings[0].template_digest,
        trainable=trainings[0].trainable,
        packed=all(t.packed for t in trainings),
        losses=tuple(losses),
    )
