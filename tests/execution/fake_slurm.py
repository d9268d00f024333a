"""A Slurm of one machine: `sbatch` starts jobs as processes, the others look at its folder.

Called with the name of a command and its words; a job is a
folder `ID` or `ARRAY_INDEX` in `$FAKE_SLURM` with the files `script`, `step` and `state`.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(os.environ.get("FAKE_SLURM", ""))


def sbatch(script):
    text = Path(script).read_text()
    number = 1 + len(list(ROOT.glob("*.array")))
    (ROOT / f"{number}.array").touch()
    array = re.search(r"--array=0-(\d+)", text)
    for index in range(int(array[1]) + 1) if array else [None]:
        job = ROOT / (str(number) if index is None else f"{number}_{index}")
        job.mkdir()
        (job / "script").write_text(text)
        begin(job)
    print(f"Submitted batch job {number}")


def begin(job):
    """Run the script of a job in a process of its own, which notes how it ended."""
    (job / "state").write_text("RUNNING")
    number, _, index = job.name.partition("_")
    extra = {"SLURM_JOB_ID": number, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    if index:
        extra |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index}
    with (job / "output").open("a") as output:
        subprocess.Popen(
            [sys.executable, __file__, "watch", str(job)],
            env=os.environ | extra,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def watch(job):
    job = Path(job)
    process = subprocess.Popen(["bash", str(job / "script")])
    (job / "pid").write_text(str(process.pid))
    status = process.wait()
    if (job / "state").read_text() == "REQUEUED":
        begin(job)
    else:
        (job / "state").write_text("FAILED" if status else "COMPLETED")


def srun(*words):
    command = [word for word in words if not word.startswith("--")]
    begins = next(i for i, word in enumerate(command) if word.endswith(("python", "python3")))
    names = {"%A": "SLURM_ARRAY_JOB_ID", "%a": "SLURM_ARRAY_TASK_ID", "%j": "SLURM_JOB_ID"}
    output = words[words.index("--output") + 1].replace("%t", "0")
    for letter, variable in names.items():
        output = output.replace(letter, os.environ.get(variable, ""))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    (ROOT / job_name() / "step").write_text(str(os.getpid()))
    os.execvp(command[begins], command[begins:])


def job_name():
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    index = os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array else os.environ["SLURM_JOB_ID"]


def scancel(*words):
    options = dict(word[2:].split("=") for word in words if word.startswith("--"))
    number = getattr(signal, "SIG" + options.get("signal", "KILL"))
    for name in words:
        job = ROOT / name
        if name.startswith("--") or "state" in options or not (job / "step").exists():
            continue
        if (job / "state").read_text() == "RUNNING":
            try:
                os.kill(int((job / "step").read_text()), number)
            except ProcessLookupError:
                continue


def sacct(*words):
    print("JobID|State|NodeList")
    for job in sorted(ROOT.glob("*/state")):
        print(f"{job.parent.name}|{job.read_text()}|here")


def scontrol(what, name):
    assert what == "requeue"
    (ROOT / name / "state").write_text("REQUEUED")


if __name__ == "__main__":
    called, *words = sys.argv[1:]
    globals()[called](*words)
