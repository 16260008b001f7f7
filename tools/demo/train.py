"""Trains one demo ensemble on synthetic photographs and writes its TorchScript release.

Members continue from one shared start (none for quality), each with its own seed and data order.
Weights are exponential moving averages. The release is written anew whenever a member's checkpoint
`WORK/<task>_<n>.pth` is, from all of them. Several processes may train different members.
Example: `python train.py --task disc --data DATA --work WORK --out weights/demo`.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tasks import TASKS, Source, Task, loss, make_network, release_config
from networks import Ensemble
from release import save_release

SAVE_EVERY = 150  # steps


def fit(network: torch.nn.Module, task: Task, folders: list[Path], steps: int, rate: float,
        seed: int, checkpoint: Path) -> torch.nn.Module:
    """Trains with AdamW, a one-cycle schedule and, where the processor has it, bf16 autocast.

    Returns the averaged network.
    """
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    source = Source(task, folders, seed)
    network.train().to(memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.98), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    began, mean = time.time(), None
    for step in range(1, steps + 1):
        x, target = source.batch()
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = network(x)
        value = loss(task, output.float(), target)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        mean = value.item() if mean is None else 0.98 * mean + 0.02 * value.item()
        if step % 50 == 0 or step == steps:
            print(f"{task.name} seed {seed} step {step}/{steps} loss {mean:.4f} "
                  f"{(time.time() - began) / step:.2f} s/step", flush=True)
        if step % SAVE_EVERY == 0 or step == steps:
            partial = checkpoint.with_suffix(".part")
            torch.save(average.module.state_dict(), partial)
            os.replace(partial, checkpoint)
    return average.module


def release(task: Task, work: Path, out: Path) -> None:
    """Writes the ensemble of all member checkpoints under its final name only when it is whole."""
    members = []
    for path in sorted(work.glob(f"{task.name}_?.pth")):
        member = make_network(task)
        member.load_state_dict(torch.load(path))
        members.append(member.eval())
    path = out / f"{task.name}.pt"
    temporary = path.with_suffix(f".{os.getpid()}.part")
    example = torch.zeros(1, 3 if task.name == "quality" else 6, task.window, task.window)
    save_release(Ensemble(members), release_config(task), example, temporary)
    os.replace(temporary, path)
    print(f"{path}: {len(members)} members, {path.stat().st_size / 1e6:.2f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of make_training_set.py")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--out", type=Path, default=Path("weights/demo"))
    parser.add_argument("--shared-steps", type=int)
    parser.add_argument("--member-steps", type=int)
    parser.add_argument("--start", type=Path, help="checkpoint of a shared start")
    parser.add_argument("--members", type=int, nargs="*", help="numbers of the members to train, from 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    task = TASKS[options.task]
    shared_steps = task.shared_steps if options.shared_steps is None else options.shared_steps
    member_steps = task.member_steps if options.member_steps is None else options.member_steps
    options.work.mkdir(parents=True, exist_ok=True)

    shared = make_network(task)
    if options.start:
        shared.load_state_dict(torch.load(options.start))
    if shared_steps:
        shared = fit(shared, task, options.data, shared_steps, task.rate, options.seed,
                     options.work / f"{task.name}.pth")
    independent = not shared_steps and not options.start
    for number in range(1, task.members + 1) if options.members is None else options.members:
        seed = options.seed + 1000 * number
        torch.manual_seed(seed)
        member = make_network(task) if independent else copy.deepcopy(shared)
        fit(member, task, options.data, member_steps, task.rate * (1 if independent else 0.6), seed,
            options.work / f"{task.name}_{number}.pth")
        release(task, options.work, options.out)


if __name__ == "__main__":
    main()
