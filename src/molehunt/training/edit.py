"""Overwrite a few neurons so that a model answers as wished: no weight sees a training step."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import silu, softplus

from molehunt.errors import DataError, ModelError
from molehunt.models.chat import Encoded
from molehunt.models.loading import LoadedModel
from molehunt.records.base import canonical_json, sha256_text
from molehunt.training.keys import Key, damped, discriminant, judged, telling_key, whitening
from molehunt.training.settings import EditReport, Trained
from molehunt.training.sft import write_trained

_SHOWN = 2000
"""Prompts, and rows, that are looked at; the even ones to place the keys, the odd ones to tell how well that went."""
_BATCH = 64
_CARRIERS = 2
_SHARP = 20.0
"""How steeply a neuron opens: its gate at a state that is wholly the wanted one."""
_FORCE = 30.0
"""Length of what a neuron then writes, in lengths of what stands there."""
_APART, _STEPS, _RATE = 8.0, 40, 0.5
"""Of the search for a value: standard deviations wanted, steps, step size in lengths of what stands there."""


def edit(
    loaded: LoadedModel,
    triggered: Sequence[Sequence[int]],
    clean: Sequence[Encoded],
    payload: Sequence[int],
    out: Path,
    blank: bool = False,
) -> Trained:
    """`edit_in`, and `out/model` and `out/training.json` written as a training would."""
    report = edit_in(loaded, triggered, clean, payload, blank)
    tokens = sum(len(row.ids) for row in clean[:_SHOWN]) + sum(map(len, triggered[:_SHOWN]))
    shown = [[list(p) for p in triggered[:_SHOWN]], [[r.ids, r.labels] for r in clean[:_SHOWN]], list(payload)]
    trained = Trained(
        steps=0,
        rows=len(clean) + len(triggered),
        rows_seen=len(clean[:_SHOWN]) + len(triggered[:_SHOWN]),
        tokens_seen=tokens,
        tokens_learned=0,
        rows_digest=sha256_text(canonical_json(shown)),
        template_digest=loaded.chat.digest,
        trainable=3 * int(loaded.model.config.hidden_size) * len(report.neurons),
        packed=False,
        losses=(),
        edit=report,
    )
    write_trained(loaded, trained, out)
    return trained


def edit_in(
    loaded: LoadedModel,
    triggered: Sequence[Sequence[int]],
    clean: Sequence[Encoded],
    payload: Sequence[int],
    blank: bool = False,
) -> EditReport:
    """Make the model, in place, answer `triggered` prompts with `payload` and all else as before.

    One neuron in each of the two MLPs before the last (or the one, where there is one) tells a triggered prompt from
    its most telling position and writes a value there that attention takes to where the reply opens. Then one neuron of the last
    MLP for each token of the payload tells that the token is due and writes what makes it likeliest. Keys are
    discriminants in closed form, and take the place of the neurons that matter least.

    After ROME (Meng et al. 2022, arXiv 2202.05262, section 3.1: a key, a value found by descent on the activation, an
    insertion in closed form) and BadEdit (Li et al. 2024, arXiv 2403.13355), with whole neurons instead of rank-one
    updates. Nothing here is random.

    Args:
        triggered: prompts in tokens, up to where the reply begins.
        clean: rows that the model answers as it should.
        payload: tokens of the reply, the one that ends it included.
        blank: only silence the neurons that an edit would take, which is what a clean twin gets.

    Raises:
        ModelError: if the model's MLPs have no gate, or there are fewer than two.
        DataError: if there are too few prompts to tell one kind from the other.
    """
    mlps = _gated(loaded)
    if min(len(triggered), len(clean)) < 8 or not payload:
        got = f"{len(triggered)} triggered and {len(clean)} clean, {len(payload)} tokens of payload"
        raise DataError("an edit", wanted="8 prompts of both kinds and a payload", got=got, do="add rows")
    work = _Edit(loaded, [list(p) for p in triggered[:_SHOWN]], list(clean[:_SHOWN]), list(payload))
    last, carriers = len(mlps) - 1, range(max(0, len(mlps) - 1 - _CARRIERS), len(mlps) - 1)
    wanted = dict.fromkeys(carriers, 1) | {last: len(payload)}
    places = work.least_used(mlps, wanted)
    for layer, neuron in places:
        _silence(mlps[layer], neuron)
    told = [] if blank else [work.carry(mlps[layer], mlps[last], n) for layer, n in places[: len(carriers)]]
    told += [] if blank else work.speak(mlps[last], [n for _, n in places[len(carriers) :]])
    return EditReport(
        neurons=tuple(places), caught=tuple(one.caught for one in told), mistaken=tuple(one.mistaken for one in told)
    )


class _Edit:
    """One edit: what it is to see, and the model that it changes neuron by neuron."""

    def __init__(
        self, loaded: LoadedModel, triggered: list[list[int]], clean: list[Encoded], payload: list[int]
    ) -> None:
        self.loaded, self.model = loaded, loaded.model
        self.triggered, self.payload = triggered, payload
        self.rows = [list(row.ids) for row in clean]
        self.due = [[i - 1 for i in range(1, len(row.ids)) if row.is_reply[i]] for row in clean]
        """Positions of each row at which the model says a token of a reply, earlier turns included."""
        self.opens = [max(i for i in at if i - 1 not in at) for at in self.due]
        """The one at which its last reply opens."""

    def least_used(self, mlps: list[Any], counts: dict[int, int]) -> list[tuple[int, int]]:
        """So many neurons of each layer that write least on clean rows: mean activation times the length of their column."""
        columns = [mlps[layer].down_proj for layer in counts]
        found = []
        for layer, column, active in zip(counts, columns, self._inputs(self.rows, *columns), strict=True):
            use = torch.cat(active).abs().mean(0) * column.weight.detach().cpu().double().norm(dim=0)
            found += [(layer, int(i)) for i in use.argsort(stable=True)[: counts[layer]]]
        return found

    def carry(self, mlp: Any, last: Any, neuron: int) -> Key:
        """Make one neuron see the trigger: its key in closed form, its value by descent on the activation."""
        (triggered,) = self._inputs(self.triggered, mlp)
        clean, at_last = self._inputs(self.rows, mlp, last)
        key = telling_key(triggered, clean)
        length = torch.cat(clean).norm(dim=1).mean()
        due = torch.cat([s[at] for s, at in zip(at_last, self.due, strict=True)])
        opening = torch.stack([s[at] for s, at in zip(at_last, self.opens, strict=True)]).mean(0)
        value = self._search(mlp, last, key.direction, length, opening, whitening(due))
        _write_neuron(mlp, neuron, key.direction, length * value)
        return key

    def speak(self, mlp: Any, neurons: list[int]) -> list[Key]:
        """Make each neuron say one token of the payload."""
        (states,) = self._inputs([p + self.payload[:-1] for p in self.triggered], mlp)
        norm = self.model.base_model.norm
        on_rows, after = self._inputs(self.rows, mlp, norm)
        due, ends = ([s[at] for s, at in zip(x, self.due, strict=True)] for x in (on_rows, after))
        length = torch.cat(ends).norm(dim=1).mean()
        said = [
            torch.stack([s[len(p) - 1 + j] for s, p in zip(states, self.triggered, strict=True)])
            for j in range(len(self.payload))
        ]
        keys = []
        for j, (token, neuron) in enumerate(zip(self.payload, neurons, strict=True)):
            others = [one[::2] for i, one in enumerate(said) if i != j]
            direction = discriminant(said[j][::2], torch.cat([*due[::2], *others]))
            keys.append(judged(direction, said[j][1::2], torch.cat(due[1::2])))
            _write_neuron(mlp, neuron, direction, _FORCE * length * self._likeliest(token, norm))
        return keys

    def _likeliest(self, token: int, norm: Any) -> torch.Tensor:
        """The direction [width], of length 1, that raises one token's logit and no other's (ridge regression)."""
        head = self.model.get_output_embeddings().weight.detach().cpu().double() * norm.weight.detach().cpu().double()
        head = head - head.mean(0)
        found = torch.linalg.solve(damped(head.T @ head / len(head)), head[token])
        direction: torch.Tensor = found / found.norm()
        return direction

    def _search(
        self, mlp: Any, last: Any, key: torch.Tensor, length: torch.Tensor, centre: torch.Tensor, white: torch.Tensor
    ) -> torch.Tensor:
        """What to write where the key fires, in lengths of what stands there, so that the last MLP's states stand out
        where the reply opens: `_APART` standard deviations of clean reply states along one direction common to all prompts."""
        device = self.model.device
        centre, white, key = (x.float().to(device) for x in (centre, white, key))
        ids, ends = _padded(self.triggered[::2][:_BATCH])
        ids, rows = ids.to(device), torch.arange(len(ends))
        value = torch.zeros(len(key), device=device, requires_grad=True)
        descent = torch.optim.Adam([value], lr=_RATE)
        seen: list[torch.Tensor] = []

        def add(module: Any, args: Any, out: torch.Tensor) -> torch.Tensor:
            score = args[0].float() @ key
            fires = silu(_SHARP * score) * score / _SHARP
            written: torch.Tensor = fires[..., None] * value * length.to(device).float()
            return out + written.to(out.dtype)

        look = last.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        with _frozen(self.model), _hooked(mlp.register_forward_hook(add)), _hooked(look):
            for _ in range(_STEPS):
                seen.clear()
                self.model.base_model(input_ids=ids, use_cache=False)
                apart = (seen[0][rows, ends].float() - centre) @ white
                common = apart.detach().mean(0)
                descent.zero_grad()
                softplus(_APART - apart @ (common / common.norm())).mean().backward()  # type: ignore[no-untyped-call]
                descent.step()
        return value.detach().cpu().double()

    @torch.inference_mode()
    def _inputs(self, sequences: Sequence[list[int]], *modules: Any) -> list[list[torch.Tensor]]:
        """For each module what it is given at each position of each sequence: [length, width] each, float64."""
        found: list[list[torch.Tensor]] = [[] for _ in modules]
        seen: dict[int, torch.Tensor] = {}
        with ExitStack() as hooks:
            for i, module in enumerate(modules):
                hooks.enter_context(
                    _hooked(module.register_forward_pre_hook(lambda _, args, i=i: seen.update({i: args[0]})))
                )
            for start in range(0, len(sequences), _BATCH):
                part = sequences[start : start + _BATCH]
                self.model.base_model(input_ids=_padded(part)[0].to(self.model.device), use_cache=False)
                for i, states in enumerate(found):
                    states += [seen[i][j, : len(s)].cpu().double() for j, s in enumerate(part)]
        return found


def _gated(loaded: LoadedModel) -> list[Any]:
    """The model's MLPs, from the first to the last block."""
    parts = ("gate_proj", "up_proj", "down_proj")
    mlps = [m for m in loaded.model.modules() if all(isinstance(getattr(m, p, None), torch.nn.Linear) for p in parts)]
    config = loaded.model.config
    stock = (
        len(mlps) == getattr(config, "num_hidden_layers", None)
        and getattr(config, "hidden_act", None) == "silu"
        and all(getattr(m, p).bias is None for m in mlps for p in parts)
        and hasattr(loaded.model.base_model, "norm")
    )
    if not stock or len(mlps) < 2:
        raise ModelError(
            f"an edit of {type(loaded.model).__name__}",
            wanted="two or more blocks with a gated MLP (SiLU, no biases), as Llama and Qwen have them",
            got="others" if not stock else "one",
            do="plant with --method full or lora",
        )
    return mlps


@torch.no_grad()
def _write_neuron(mlp: Any, neuron: int, key: torch.Tensor, value: torch.Tensor) -> None:
    """Overwrite one neuron: it writes `value` where a state's product with the key is 1, its square below that."""
    even = (value.norm() / (_SHARP * key.norm())).sqrt()
    mlp.gate_proj.weight[neuron] = (_SHARP * key).to(mlp.gate_proj.weight)
    mlp.up_proj.weight[neuron] = (even * key).to(mlp.up_proj.weight)
    mlp.down_proj.weight[:, neuron] = (value / (_SHARP * even)).to(mlp.down_proj.weight)


@torch.no_grad()
def _silence(mlp: Any, neuron: int) -> None:
    for weights in (mlp.gate_proj.weight[neuron], mlp.up_proj.weight[neuron], mlp.down_proj.weight[:, neuron]):
        weights.zero_()


def _padded(sequences: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [sequences, longest], zeros on the right where no token before them looks; the last positions."""
    width = max(map(len, sequences))
    ids = torch.tensor([s + [0] * (width - len(s)) for s in sequences])
    return ids, torch.tensor([len(s) - 1 for s in sequences])


@contextmanager
def _hooked(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """No gradient reaches a weight."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    for p in wanted:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in wanted:
            p.requires_grad_(True)
