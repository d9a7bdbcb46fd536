"""What `bench` and `soak` share: portals, sshds and clients with everything of
their own in one temporary directory, and what the kernel says of a process."""

import atexit
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target/release"
TWARGA = pathlib.Path(os.environ.get("TWARGA", RELEASE / "twarga")).resolve()
PORTAL_OVER_SSHD = RELEASE / "examples/portal_over_sshd"
IMAGES = pathlib.Path(os.environ.get("TWARGA_IMAGES", ROOT / "target/test/images")).resolve()
ME = pwd.getpwuid(os.geteuid()).pw_name
ADMIN = "bench"
# The same on every side. A micro guest's dropbear has no GCM: it takes the second.
CIPHERS = "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com"


def allow_many_files():
    """Hundreds of clients are hundreds of pipes; the portal inherits the limit too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def speaks_ssh(port, patience):
    """Whether a server's first words come from there within `patience` seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as s:
            return s.recv(4) == b"SSH-"
    except OSError:
        return False


def answers(port, patience=30, each=1.0, pause=0.02):
    """Waits for an SSH server at that port."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if speaks_ssh(port, each):
            return
        time.sleep(pause)
    raise TimeoutError(f"nothing speaks SSH at port {port}")


def until(what, check, patience=120, pause=0.05):
    deadline = time.monotonic() + patience
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it never came to this: {what}")
        time.sleep(pause)


def end(child, patience=30):
    """Ends a process that we started; SIGTERM first."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class Place:
    """A temporary directory with a key in it, and the children that live there."""

    def __init__(self, name):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"twarga-{name}-"))
        self.dir.chmod(0o755)
        self.children = []
        self.key = self.keygen("key")
        atexit.register(self.close)
        # So that a signal ends what was started, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def close(self):
        for child in reversed(self.children):
            end(child)
        self.children = []
        for database in self.dir.glob("*/data/twarga.db"):
            sweep(database)
        shutil.rmtree(self.dir, ignore_errors=True)

    def keygen(self, name):
        path = self.dir / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
        return path

    def sshd(self):
        """OpenSSH's own server; its port."""
        port, home = free_port(), self.dir / "sshd"
        home.mkdir()
        self.keygen("sshd/host_key")
        shutil.copy(f"{self.key}.pub", home / "authorized_keys")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        config = home / "config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {home}/host_key\n"
            f"AuthorizedKeysFile {home}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            "PidFile none\nPasswordAuthentication no\nSubsystem sftp internal-sftp\nMaxStartups 400\n"
            # A bash that sshd starts reads ~/.bashrc, unless it is not the first: whoever
            # measures may have anything in there.
            "SetEnv SHLVL=2\n"
        )
        child = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", config], stderr=subprocess.DEVNULL)
        self.children.append(child)
        answers(port)
        return port

    def ssh(self, port, login, *words, jump=None, options=(), key=None):
        """The command line of a client; `jump` is the (port, login) of a jump host."""
        flags = [
            "-F", "none", "-i", str(key or self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", "LogLevel=ERROR", "-o", f"UserKnownHostsFile={self.dir}/known",
            "-o", "StrictHostKeyChecking=accept-new", "-o", "KexAlgorithms=curve25519-sha256",
            "-o", f"Ciphers={CIPHERS}", "-o", "HostKeyAlgorithms=ssh-ed25519",
        ]
        if jump:
            # `-J` would not hand these flags on to the outer connection.
            outer = " ".join(["ssh", *flags, "-p", str(jump[0]), "-W", "%h:%p", jump[1]])
            flags += ["-o", f"ProxyCommand={outer}"]
        return ["ssh", *options, *flags, "-p", str(port), login, *words]


def sweep(database):
    """Removes the domains of the portal whose database that is."""
    prefix = domain_prefix(database)
    for name in virsh("list", "--all", "--name").split():
        if name.startswith(prefix):
            virsh("destroy", name)
            virsh("undefine", name)


def domain_prefix(database):
    """What all domains of a portal are called first."""
    with sqlite3.connect(database) as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = 'portal_id'").fetchone()
    connection.close()
    return f"twarga-{row[0]}-" if row else "twarga-none-"


def virsh(*words):
    command = ["virsh", "-q", "-c", "qemu:///system", *words]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


class Portal:
    """A portal that serves from a folder of its place."""

    def __init__(self, place, name, program="serve", config="", sample_s=1):
        self.place, self.home = place, place.dir / name
        self.port, self.http = free_port(), free_port()
        self.data = self.home / "data"
        self.data.mkdir(parents=True)
        self.config = self.home / "twarga.toml"
        self.config.write_text(
            f'data_dir = "{self.data}"\nhost_key_dir = "{self.home}/keys"\n'
            f'[ssh]\nlisten = "127.0.0.1:{self.port}"\nmax_sessions_per_user = 1000\nmax_startups = 400\n'
            f'max_startups_per_ip = 400\n'
            # As long as sshd's own: what else the machine does is not to cut anybody.
            f'login_grace_s = 120\n[http]\nlisten = "127.0.0.1:{self.http}"\n'
            f'[monitor]\nsample_s = {sample_s}\n{config}'
        )
        if program == "serve":
            (self.data / "images").symlink_to(IMAGES)
        self.program = [TWARGA, "--config", self.config, "serve"] if program == "serve" else [program, self.config]
        self.login = f"{ADMIN}@127.0.0.1"
        self.child = None

    def init(self):
        self.twarga("init", "--admin", ADMIN, "--key", f"{self.place.key}.pub")
        return self

    def twarga(self, *words, check=True):
        """Runs a subcommand of the program on this portal's data."""
        command = [TWARGA, "--config", self.config, *map(str, words)]
        return subprocess.run(command, check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def start(self, pause=0.01):
        log = open(self.home / "log", "a")
        self.child = subprocess.Popen(self.program, stdout=log, stderr=log)
        self.place.children.append(self.child)
        until("the portal answers", self._up, pause=pause)
        return self

    def _up(self):
        if self.child.poll() is not None:
            raise RuntimeError("the portal ended: " + (self.home / "log").read_text()[-2000:])
        return speaks_ssh(self.port, 1.0)

    def stop(self):
        end(self.child)

    def ssh(self, *words, login=None, **more):
        return self.place.ssh(self.port, login or self.login, *words, **more)

    def jump(self):
        return (self.port, self.login)

    def run(self, *words):
        """A command at the portal that must succeed; its output."""
        done = subprocess.run(
            self.ssh(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr.decode()[-500:]}")
        return done.stdout.decode()

    def run_inside(self, vm, command):
        """A command in a VM that must succeed."""
        subprocess.run(self.ssh(command, login=f"{ADMIN}+{vm}@127.0.0.1"), stdin=subprocess.DEVNULL, check=True)

    def runs(self, *words):
        """Whether a command at the portal succeeds."""
        done = subprocess.run(
            self.ssh(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return done.returncode == 0

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))

    def get(self, path):
        """A page, as bytes."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=20) as answer:
            return answer.read()

    def sessions(self):
        """How many are signed in, as of the last sample."""
        return json.loads(self.get("/healthz"))["performance"]["active_sessions"]

    def rss_kb(self):
        return memory_kb(self.child.pid, "VmRSS")


def memory_kb(pid, field):
    """`VmRSS` or `VmHWM` of a process, KiB (proc(5))."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"no {field} of {pid}")


def reset_high_water(pid):
    """Lets VmHWM begin again from what is resident now (proc(5), clear_refs)."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
