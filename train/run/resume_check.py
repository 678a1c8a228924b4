"""Check whether a run may resume with other settings than those it was started with.

The rules are those of `resume_rules`; here they become errors that say what to do.
"""

from collections.abc import Collection, Mapping, Sequence

from ...option_errors import did_you_mean
from ..config.changed_settings import ChangedSetting, changes_after, not_after, settings_at
from ..config.resume_rules import LENGTH, Settings, covers, fixed_differences


def check_changes(
    run: str,
    *,
    before: Settings,
    now: Settings,
    step: int,
    notes: Sequence[ChangedSetting],
    allow_change: Sequence[str],
) -> list[ChangedSetting]:
    """Raise unless a run may resume with other settings; return those that change its weights.

    Args:
        run: folder of the run, for messages.
        before: settings of its last start.
        now: settings to resume with.
        step: of the checkpoint to resume from.
        notes: settings that changed in the run so far.
        allow_change: settings, or sections of settings, that may change.

    Raises:
        ValueError: a setting differs that may not or cannot change, one that may change did not,
            or the run would be shorter than it is.
    """
    changes = changes_after(step, before, now)
    notes = not_after(notes, step)
    # Of the discriminator a checkpoint may hold what was set before the last changes.
    held = settings_at(now, [*notes, *changes], step)
    fixed = fixed_differences(held, now)
    refused = {
        change.key: str(change)
        for change in changes
        if change.key != LENGTH and not any(covers(key, change.key) for key in allow_change)
    }
    refused |= {
        key: f"{key}: {held.get(key)!r} -> {now.get(key)!r} (it cannot change: {reason})"
        for key, reason in fixed.items()
    }
    if refused:
        raise ValueError(_refusal(run, refused, fixed))
    changed = {key for key in {*before, *now} if before.get(key) != now.get(key)}
    # The command that changed a setting may resume the run again.
    changed |= {note.key for note in notes if now.get(note.key) == note.after}
    for key in allow_change:
        _check_used(key, changed, {*before, *now})
    if now[LENGTH] < step:
        raise ValueError(
            f"train.steps={now[LENGTH]} lies before the run's checkpoint of step {step}; "
            "choose another --output to train a shorter run"
        )
    return changes


def _refusal(run: str, refused: Mapping[str, str], fixed: Collection[str]) -> str:
    """Return the message about settings that differ, with what can be done about them."""
    lines = [f"output folder {run} holds a run with other settings:"]
    lines += [f"  {refused[key]}" for key in sorted(refused)]
    lines.append("choose another --output, or start with the same settings to resume it")
    allowable = [f"--allow-change {key}" for key in sorted(refused) if key not in fixed]
    if allowable:
        lines.append(f"to resume it with other settings, add {' '.join(allowable)}")
    if fixed:
        lines.append(
            f"to train on with what cannot change, start another run with start.source={run}"
        )
    return "\n".join(lines)


def _check_used(key: str, changed: Collection[str], known: Collection[str]) -> None:
    """Raise unless a key that may change names a setting that did."""
    if any(covers(key, setting) for setting in changed):
        return
    if any(covers(key, setting) for setting in known):
        problem = "has the same value as before; change it with --set, or leave the option out"
    elif key.startswith("stages."):
        inside = key.split(".", 2)[-1]
        problem = f"names a stage, but the option means the stage reached; pass {inside}"
    else:
        problem = f"is not a setting of this config{did_you_mean(key, known)}"
    raise ValueError(f"--allow-change {key} {problem}")
