"""The full screen's part of `bench`: a client in a pseudo-terminal, and what it
costs to look at VMs."""

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import termios
import threading
import time

from harness import PORTAL_OVER_SSHD, Portal, memory_kb, until

SIZE = (120, 40)
KEYS = 100
OPEN = int(os.environ.get("SCREENS", "200"))
VMS = 50
WATCHED_S = 30


class Terminal:
    """A client at a terminal of that size."""

    def __init__(self, command, size=SIZE):
        self.end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        env = {**os.environ, "TERM": "xterm-256color"}
        self.child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
        os.close(theirs)
        self.seen = b""

    def read(self, patience):
        """What comes within that time, at most one read; empty if nothing does."""
        ready, _, _ = select.select([self.end], [], [], patience)
        if not ready:
            return b""
        try:
            data = os.read(self.end, 1 << 16)
        except OSError:
            return b""
        self.seen = (self.seen + data)[-(1 << 18):]
        return data

    def drain(self, quiet=0.0):
        """Reads until nothing comes for that long; how many bytes came."""
        count = 0
        while data := self.read(quiet):
            count += len(data)
        return count

    def send(self, keys):
        os.write(self.end, keys)

    def wait_for(self, text, patience=30):
        deadline = time.monotonic() + patience
        while text.encode() not in self.seen:
            if time.monotonic() > deadline or self.child.poll() is not None:
                raise TimeoutError(f"no {text!r} on the screen: {self.seen[-2000:]!r}")
            self.read(0.2)
        self.seen = b""

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.end)


def latencies(terminal, rounds=KEYS):
    """From a key to the bytes that it changes on the screen, each key by itself."""
    times = []
    for turn in range(rounds):
        terminal.drain(0.02)
        began = time.perf_counter()
        terminal.send(b"j" if turn % 2 == 0 else b"k")
        if not terminal.read(5):
            raise TimeoutError("a key changes nothing")
        times.append(time.perf_counter() - began)
        time.sleep(0.1)
    return times


def cpu_seconds(pid):
    """User and system time of a process (proc(5))."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_screen(portal, shows, login=None):
    terminal = Terminal(portal.ssh(options=["-tt"], login=login))
    terminal.wait_for(shows)
    return terminal


def drain_all(terminals, lasting):
    """Reads all of them for that long; bytes in all."""
    count, deadline = 0, time.monotonic() + lasting
    by_end = {t.end: t for t in terminals}
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select(list(by_end), [], [], left)
        for end in ready:
            count += len(by_end[end].read(0))
    return count


def tui(table, scene, spread, ms, settled_rss):
    limits = f"[limits]\nvms_per_user = {VMS}\n"
    # Samples as often as a portal takes them whose configuration says nothing of it.
    portal = Portal(scene.place, "screens", PORTAL_OVER_SSHD, limits, sample_s=5).init().start()
    for number in range(VMS):
        portal.run("vm", "new", f"vm{number:02}", "--image", "micro", "--no-wait")
    until("the VMs run", lambda: all(vm["state"] == "running" for vm in portal.json("vm", "ls")), patience=300)

    portal.run("account", "set", "start", "vms")
    one = open_screen(portal, "vm00")
    quiet = latencies(one)
    table.add(
        f"key to changed screen, {SIZE[0]}×{SIZE[1]}, {VMS} VMs", spread(quiet, ms), "", "", "< 10 ms",
        good=statistics.median(quiet) < 0.010,
    )
    flood(table, portal, one, quiet, spread, ms)
    one.close()

    portal.run("account", "set", "start", "dashboard")
    idle = open_screen(portal, "vm00")
    idle.drain(1.0)
    rate = drain_all([idle], WATCHED_S) / WATCHED_S
    table.add("idle dashboard, bytes a second to the terminal", f"{rate:.0f} B/s", "", "", "≤ 2048 B/s", good=rate <= 2048)
    idle.close()

    until("everybody has left", lambda: portal.sessions() == 0)
    before = settled_rss(portal)
    screens = []
    for _ in range(OPEN):
        screens.append(open_screen(portal, "vm00"))
        drain_all(screens, 0.05)
    drain_all(screens, 5)
    began = cpu_seconds(portal.child.pid)
    drain_all(screens, WATCHED_S)
    cores = (cpu_seconds(portal.child.pid) - began) / WATCHED_S
    each = (memory_kb(portal.child.pid, "VmRSS") - before) / OPEN
    for screen in screens:
        screen.close()
    what = f"{OPEN} open screens, {VMS} VMs"
    table.add(f"{what}: processor", f"{cores:.2f} cores", "", "", "≤ 0.25 cores", good=cores <= 0.25)
    table.add(f"{what}: RSS of each", f"{each:.0f} KiB", "", "", "≤ 512 KiB", good=each <= 512)
    portal.stop()


def flood(table, portal, one, quiet, spread, ms):
    """`yes` in a tab of one screen; keys in another."""
    noisy = open_screen(portal, "vm00")
    noisy.send(b"\r")
    noisy.wait_for("#" if os.geteuid() == 0 else "$")
    noisy.send(b"yes a flood of lines\r")
    noisy.wait_for("a flood of lines")
    over = threading.Event()
    reader = threading.Thread(target=lambda: [noisy.read(0.1) for _ in iter(over.is_set, True)])
    reader.start()
    times, began = [], time.monotonic()
    while time.monotonic() - began < WATCHED_S:
        times += latencies(one, 5)
    over.set()
    reader.join()
    noisy.close()
    ratio = statistics.median(times) / statistics.median(quiet)
    table.add(
        f"key to changed screen beside a flood of {WATCHED_S} s", spread(times, ms), f"quiet: {spread(quiet, ms)}",
        f"{ratio:.2f}×", "≤ 2.00×", good=ratio <= 2,
    )
