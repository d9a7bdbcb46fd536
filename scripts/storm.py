"""`bench storm`: many people sign in at once. With keys, beside OpenSSH's own sshd; with
passwords, beside argon2 alone, while somebody types in a session that was there before."""

import os
import statistics
import subprocess
import threading
import time

from harness import ME, PORTAL_OVER_SSHD, Portal
from screen import Terminal

PEOPLE = 200
ROUNDS = int(os.environ.get("STORM_ROUNDS", "5"))
HASHING_S = 5
PASSWORD = "seven brown foxes"


def at_once(commands, env=None):
    """Starts all of them, and waits for all; the seconds from the first start to the last end."""
    began = time.perf_counter()
    children = [
        subprocess.Popen(c, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
        for c in commands
    ]
    wrong = [c.communicate()[1][-200:] for c in children if c.wait()]
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {len(commands)} were not let in: {wrong[0]!r}")
    return time.perf_counter() - began


def hashes_a_second():
    """How many passwords this machine hashes a second with nothing else to do."""
    done = subprocess.run([PORTAL_OVER_SSHD, "hashes", str(HASHING_S)], check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


class Typist(threading.Thread):
    """Somebody who types in a line shell, key by key; how long each takes to be seen."""

    def __init__(self, portal):
        super().__init__(daemon=True)
        self.terminal = Terminal(portal.ssh("shell", options=["-tt"]))
        self.terminal.wait_for("twarga>")
        self.terminal.drain(0.5)
        self.times, self.resting = [], threading.Event()

    def run(self):
        turn = 0
        while not self.resting.is_set():
            turn += 1
            self.terminal.drain(0.02)
            began = time.perf_counter()
            self.terminal.send(b"x" if turn % 2 else b"\x7f")
            if not self.terminal.read(30):
                raise TimeoutError("a key changes nothing")
            self.times.append(time.perf_counter() - began)
            time.sleep(0.02)

    def rest(self):
        self.resting.set()
        self.join()
        self.terminal.close()
        return self.times


def typed_during(portal, what):
    typist = Typist(portal)
    typist.start()
    try:
        what()
    finally:
        times = typist.rest()
    return times


def storm(table, scene, spread, ms):
    sshd = scene.get()[1]
    portal = Portal(scene.place, "storm", PORTAL_OVER_SSHD).init().start()
    people(portal)
    each = lambda n: portal.ssh("whoami", login=f"p{n:03}@127.0.0.1")
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(at_once([each(n) for n in range(PEOPLE)]))
        theirs.append(at_once([scene.place.ssh(sshd, f"{ME}@127.0.0.1", "true")] * PEOPLE))
    times = statistics.median(theirs) / statistics.median(ours)
    table.add(
        f"{PEOPLE} sign in at once with keys: portal / sshd", spread(ours, ms), spread(theirs, ms),
        f"{times:.2f}× the rate", "≥ 1.50×", good=times >= 1.5,
    )
    passwords(table, portal, statistics.median(ours), spread, ms)
    portal.stop()


def passwords(table, portal, by_keys, spread, ms):
    ask = portal.home / "askpass"
    ask.write_text(f"#!/bin/sh\necho {PASSWORD!r}\n")
    ask.chmod(0o700)
    env = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
    options = ["-o", "BatchMode=no", "-o", "PubkeyAuthentication=no"]
    # The clients, too, are at work on these cores, and give way to the one who types.
    one = ["nice", "-n", "19", *portal.ssh("whoami", login="p000@127.0.0.1", options=options)]
    subprocess.run(
        portal.ssh("account", "passwd", login="p000@127.0.0.1"), input=f"{PASSWORD}\n".encode(), check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    quiet = typed_during(portal, lambda: time.sleep(10))
    rate, took, typed = hashes_a_second(), [], []
    for _ in range(ROUNDS):
        typed += typed_during(portal, lambda: took.append(at_once([one] * PEOPLE, env)))
    least = PEOPLE / rate + by_keys
    times = statistics.median(took) / least
    table.add(
        f"{PEOPLE} sign in at once with passwords / {PEOPLE} hashes alone, and the logins by key",
        spread(took, ms), f"{ms(least)} ({rate:.0f} hashes/s)", f"{times:.2f}×", "≤ 1.25×", good=times <= 1.25,
    )
    slower = statistics.median(typed) / statistics.median(quiet)
    table.add(
        "a key in a session that is there, meanwhile / when it is quiet", spread(typed, ms), spread(quiet, ms),
        f"{slower:.2f}×", "≤ 2.00×", good=slower <= 2,
    )


def people(portal):
    """As many accounts, all with the one key."""
    key = (portal.place.dir / "key.pub").read_text().strip()
    lines = "".join(f"user new p{n:03} --key '{key}'\n" for n in range(PEOPLE))
    done = subprocess.run(portal.ssh(options=["-T"]), input=lines.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(f"no people: {done.stderr[-300:]!r}")
