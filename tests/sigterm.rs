//! SIGTERM: whoever is connected is told, jobs end or are marked, and the portal
//! is gone within ten seconds, whatever hangs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/host.rs"]
mod host;
#[path = "common/place.rs"]
mod place;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::pty::Pty;
use host::{Host, until};
use rustix::process::{Pid, Signal, kill_process};

/// What everybody hears.
const NEWS: &str = "The portal is stopping.";

/// A client in a terminal.
fn terminal(host: &Host, port: u16, words: &[&str]) -> Pty {
    let command = host.place.ssh_command(port, &[]);
    let mut words_of = tokio::process::Command::new("ssh");
    words_of.arg("-t").args(command.get_args()).args(words);
    Pty::spawn(&words_of)
}

/// A client whose output is a stream without an end.
struct Stream(Child);

impl Stream {
    fn of(mut command: Command) -> Stream {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut chunk = [0; 64 * 1024];
        child.stdout.as_mut().unwrap().read_exact(&mut chunk).expect("the stream flows");
        Stream(child)
    }

    /// Reads nothing any more, not even what the kernel has.
    fn hang(&self) {
        kill_process(Pid::from_child(&self.0), Signal::STOP).unwrap();
    }

    /// Reads on; ends with the stream.
    fn drain(&mut self) -> std::thread::JoinHandle<u64> {
        let mut from = self.0.stdout.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut from, &mut std::io::sink()).unwrap_or(0))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `ssh -J admin@portal root@web COMMAND`
fn jump(host: &Host, port: u16, command: &str) -> Command {
    let common = format!(
        "IdentityFile {}\nIdentitiesOnly yes\nBatchMode yes\nLogLevel ERROR\nStrictHostKeyChecking accept-new\n",
        host.place.path("id").display()
    );
    let config = format!(
        "Host portal\nHostName 127.0.0.1\nPort {port}\nUser admin\nHostKeyAlias portal\nUserKnownHostsFile {}\n\
         Host *\nUserKnownHostsFile {}\n{common}",
        host.place.path("known_hosts").display(),
        host.place.path("known_guests").display()
    );
    let config = host.place.write("ssh_config", config);
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-J", "portal", "root@web", command]);
    ssh
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_and_nobody_holds_it_up() {
    let host = Host::new();
    let serving = host.serve();
    let port = serving.port;
    host.place.ssh(port, &["vm", "new", "web", "--image", "micro"]).expect(0);
    let qemu = host.qemu("web").unwrap();

    // Those who never sign in: one says nothing, one stops in the middle.
    let _silent = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    slow.write_all(b"SSH-2.0-slow\r\n\0\0").unwrap();
    // Those who do.
    let screen = terminal(&host, port, &[]);
    screen.shows("web").await;
    let shell = terminal(&host, port, &["shell"]);
    shell.shows("> ").await;
    let mut piped = host.place.ssh_command(port, &[]);
    let mut piped = piped.arg("-T").stdin(Stdio::piped()).spawn().unwrap();
    let mut jumping = Stream::of(jump(&host, port, "cat /dev/zero"));
    let flowing = jumping.drain();
    // One reads nothing of what its guest sends, one not even what it has.
    let full = Stream::of(host.inside(port, "web", "cat /dev/zero"));
    let stopped = Stream::of(host.inside(port, "web", "cat /dev/zero"));
    stopped.hang();
    // A job that somebody waits for.
    let mut waiting = host.ask(port, &["vm", "new", "other", "--image", "micro"]);
    until("the job is at work", || host.row("other").is_some());
    let job = host.last_job();

    let began = Instant::now();
    let status = tokio::task::spawn_blocking(move || serving.terminate()).await.unwrap();
    eprintln!("it took {:?}", began.elapsed());
    assert_eq!(status, 0);
    let state = host.job_state(job);
    assert!(["succeeded", "interrupted"].contains(&state.as_str()), "{state}");
    for (who, terminal) in [("the screen", &screen), ("the shell", &shell)] {
        until(&format!("{who} is told"), || terminal.all().contains(NEWS));
    }
    let all = screen.all();
    let left = all.rfind("\x1b[?1049l").expect("the screen is left as it was found");
    assert!(all[left..].contains(NEWS), "told only on the screen that went: {:?}", &all[left..]);
    drop(piped.stdin.take());
    let said = piped.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains(NEWS), "{said:?}");
    assert!(flowing.join().unwrap() > 0);
    waiting.wait().unwrap();
    drop((full, stopped));

    // Its VMs go on, and the next portal has them.
    assert_eq!(host.qemu("web"), Some(qemu));
    let serving = host.serve();
    host.check(&[], "after SIGTERM");
    assert_eq!(host.json(serving.port, &["vm", "show", "web"])["state"], "running");
    assert_eq!(host.job_state(job), state);
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn a_hung_libvirt_does_not_hold_it_up() {
    let host = Host::new();
    let relay = host.relayed();
    let serving = host.serve();
    host.make(&serving, "web");
    serving.kill();
    let serving = host.serve();
    relay.hang(true);
    let asked =
        host.place.ssh(serving.port, &["vm", "stop", "web", "--force", "--no-wait", "--json"]).expect(0);
    let asked: serde_json::Value = serde_json::from_str(&asked.stdout).unwrap();
    let job = asked["id"].as_i64().unwrap();
    until("the job hangs in libvirt", || {
        host.json(serving.port, &["job", "show", &job.to_string()])["step"] == "switching off"
    });
    assert_eq!(serving.terminate(), 0);
    // It is marked by the portal that went, not by the next; or libvirt was found
    // to be hung before that, and the job failed for it.
    let state = host.job_state(job);
    assert!(["interrupted", "failed"].contains(&state.as_str()), "{state}");
    relay.hang(false);
    let serving = host.serve();
    host.check(&[], "after SIGTERM");
    host.place.ssh(serving.port, &["job", "retry", &job.to_string()]).expect(0);
    host.until_state(serving.port, "web", "stopped");
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn a_start_that_hangs_ends_too() {
    let host = Host::new();
    let relay = host.relayed();
    // A machine that the next start has to ask libvirt about.
    let serving = host.serve_until("starting").unwrap();
    let mut asking = host.ask(serving.port, &["vm", "new", "web", "--image", "micro"]);
    serving.dies();
    asking.wait().unwrap();
    let (made, job) = (host.row("web").unwrap(), host.last_job());
    relay.hang(true);
    let mut starting = host.place.command(&["serve"]).spawn().unwrap();
    until("it mends what was left", || host.job_state(job) == "interrupted");
    kill_process(Pid::from_child(&starting), Signal::TERM).unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = starting.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it does not end within 10 s");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    relay.hang(false);
    let serving = host.serve();
    host.check(&[made], "after a start that hung");
    assert_eq!(host.row("web"), None);
    assert_eq!(serving.terminate(), 0);
}
