//! A libvirtd of the test's own, to be stopped, hung and killed while the
//! machine's serves everybody else: in namespaces of its own for mounts and
//! processes, with its socket in a temporary directory. Wants root, as the
//! system's libvirtd does.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest that the daemon may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first process of the namespace. It ends with its standard input, that is
/// with the test, however that ends, and everything in the namespace with it.
/// What libvirtd knows of QEMU is taken over: to find it out takes seconds.
const INIT: &str = r#"
set -eu
# Other tests' small disks are not to be held by this one.
for disk in $(sed -n 's|^/dev/loop[^ ]* \([^ ]*/twarga-[^ ]*\) .*|\1|p' /proc/mounts); do
    case "$2" in "$disk"*) ;; *) umount -l "$disk" ;; esac
done
known=$(mktemp -d)
cp -a /var/cache/libvirt/qemu/. "$known" 2>/dev/null || true
for place in /run/libvirt /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
    mkdir -p "$place"
    mount -t tmpfs -o mode=755 tmpfs "$place"
done
mkdir -p /var/cache/libvirt/qemu
cp -a "$known/." /var/cache/libvirt/qemu
rm -rf "$known"
cat >/etc/libvirt/libvirtd.conf <<END
unix_sock_dir = "$1"
unix_sock_rw_perms = "0700"
auth_unix_rw = "none"
END
# No cgroups and no namespaces for each guest: those belong to the machine's.
cat >/etc/libvirt/qemu.conf <<END
cgroup_controllers = []
namespaces = []
END
exec python3 -c '
import os, signal, sys

def bury(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass

def start(daemon, *flags):
    line = "exec \"$@\" </dev/null >>\"$0\" 2>&1"
    pid_file = ["--pid-file", f"{sys.argv[1]}/{daemon}.pid"]
    os.spawnvp(os.P_NOWAIT, "sh", ["sh", "-c", line, f"{sys.argv[1]}/{daemon}.log", daemon, *pid_file, *flags])

# The orphans that QEMU makes of itself come here too.
signal.signal(signal.SIGCHLD, bury)
start("virtlogd")
for _ in sys.stdin:
    start("libvirtd", "--config", "/etc/libvirt/libvirtd.conf")
' "$1"
"#;

/// It, until dropped.
pub struct OwnLibvirt {
    dir: tempfile::TempDir,
    unshare: Child,
}

impl OwnLibvirt {
    /// Starts one and waits until it answers.
    pub fn start() -> OwnLibvirt {
        OwnLibvirt::start_seeing(Path::new("/"))
    }

    /// The same; a small disk that is mounted at that place or above it is seen.
    pub fn start_seeing(place: &Path) -> OwnLibvirt {
        let dir = tempfile::Builder::new().prefix("twarga-libvirt-").tempdir().unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--mount",
            "--propagation",
            "slave",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        unshare.args(["sh", "-c", INIT, "sh"]).args([dir.path(), place]);
        let unshare = unshare.stdin(Stdio::piped()).spawn().expect("unshare, of util-linux");
        let mut own = OwnLibvirt { dir, unshare };
        own.start_again();
        own
    }

    /// What the portal is told.
    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("libvirt-sock")
    }

    /// Starts the daemon and waits until it answers.
    pub fn start_again(&mut self) {
        self.begin();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let out = self.virsh(&["version"]);
            if out.status.success() {
                return;
            }
            let why = String::from_utf8_lossy(&out.stderr);
            assert!(Instant::now() < deadline, "libvirtd does not answer: {why}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same without waiting.
    pub fn begin(&mut self) {
        self.unshare.stdin.as_mut().unwrap().write_all(b"libvirtd\n").unwrap();
    }

    /// Ends the daemon as systemd would; the VMs run on.
    pub fn stop(&self) {
        self.end(Signal::TERM);
    }

    /// Kills it; the VMs run on.
    pub fn kill(&self) {
        self.end(Signal::KILL);
    }

    /// Hangs it: its socket takes connections and bytes, and nothing comes back.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Wakes it.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn end(&self, signal: Signal) {
        self.signal(signal);
        self.until("libvirtd is gone", |own| own.processes("libvirtd").is_empty());
    }

    fn signal(&self, signal: Signal) {
        let daemons = self.processes("libvirtd");
        assert_eq!(daemons.len(), 1, "libvirtd: {daemons:?}\n{}", self.log());
        kill_process(daemons[0], signal).unwrap();
    }

    /// The VMs' emulators.
    pub fn emulators(&self) -> Vec<Pid> {
        self.processes("qemu-system-x86")
    }

    /// Runs virsh against it, for a while at most.
    pub fn virsh(&self, words: &[&str]) -> Output {
        Command::new("timeout").args(["20", "virsh", "-q", "-c", &self.uri()]).args(words).output().unwrap()
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("libvirtd.log")).unwrap_or_default()
    }

    /// Living processes of that name in its namespace, and in no other.
    fn processes(&self, name: &str) -> Vec<Pid> {
        let namespace = |pid: &str, which| std::fs::read_link(format!("/proc/{pid}/ns/{which}"));
        let unshare = self.unshare.id().to_string();
        let Ok(ours) = namespace(&unshare, "pid_for_children") else { return Vec::new() };
        let is_one = |pid: &&str| {
            let read = |what| std::fs::read(Path::new("/proc").join(pid).join(what)).unwrap_or_default();
            // The dead who wait for their parent have no command line any more.
            read("comm").trim_ascii() == name.as_bytes()
                && !read("cmdline").is_empty()
                && namespace(pid, "pid").is_ok_and(|theirs| theirs == ours)
        };
        let all = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().into_string().ok());
        let found = all.filter(|pid| is_one(&pid.as_str()));
        found.filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }

    fn until(&self, what: &str, check: impl Fn(&OwnLibvirt) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !check(self) {
            assert!(Instant::now() < deadline, "it never came to this: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for OwnLibvirt {
    fn drop(&mut self) {
        // --kill-child: the namespace's first process goes, and with it all others.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}
