//! The ways into a real VM, by real OpenSSH clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::process::Stdio;

use common::real::RealPortal;
use common::{output, status, stderr, stdout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_inside_gives_exactly_what_it_gave_there() {
    let real = RealPortal::start().await;
    let made = real.run(&["vm", "new", "web1", "--image", "micro"]).await;
    assert_eq!(status(&made), 0, "{}", stderr(&made));
    assert!(stderr(&made).contains("waiting for SSH"), "no progress: {}", stderr(&made));
    assert!(stdout(&made).contains("ssh alice+web1@"), "{}", stdout(&made));

    let out = real.inside("web1", "hostname; echo to-err >&2; exit 7").await;
    assert_eq!((status(&out), stdout(&out).as_str(), stderr(&out).as_str()), (7, "web1\n", "to-err\n"));

    // 3 MB of every byte there is, both ways, nothing added and nothing lost.
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let out = real.portal.run_with(&real.key, "alice+web1", &["cat"], &bytes).await;
    assert!(status(&out) == 0 && out.stdout == bytes);

    // ssh ends by 255 where the command was ended by a signal; its own words name it.
    let mut ssh = real.portal.ssh(&real.key);
    let out = output(ssh.args(["-v", "alice+web1@127.0.0.1", "kill -TERM $$"])).await;
    assert_eq!(status(&out), 255);
    assert!(stderr(&out).contains("exit-signal"), "{}", stderr(&out));

    // `ssh -n` ends its input at once; the output has to come all the same.
    let mut ssh = real.portal.ssh(&real.key);
    let out = output(ssh.args(["-n", "alice+web1@127.0.0.1", "sleep 1; echo late"])).await;
    assert_eq!(stdout(&out), "late\n");

    // No terminal, no command: a shell that reads its input.
    let out = real.portal.run_with(&real.key, "alice+web1", &[], b"echo from a shell\nexit 4\n").await;
    assert_eq!((status(&out), stdout(&out).as_str()), (4, "from a shell\n"));
    terminal_sizes(&real).await;
}

/// What a terminal says of its size arrives, at first and when it changes.
async fn terminal_sizes(real: &RealPortal) {
    let mut command = Command::new("script");
    let flags = real.portal.flags(&real.key).join(" ");
    let ssh = format!(
        "stty cols 91 rows 33; exec ssh {flags} -tt -p {} alice+web1@127.0.0.1 \
         'stty size; read x; until stty size | grep -F \"40 120\"; do sleep 0.1; done'",
        real.portal.address.port()
    );
    command.args(["-qec", &ssh, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    read_until(&mut stdout, &mut seen, "33 91").await;
    // script passes its own terminal's size on; here it has none, so the
    // window of the ssh client is changed where it is.
    let tty = ssh_tty(child.id().unwrap());
    let resized =
        Command::new("stty").args(["-F", &tty, "cols", "120", "rows", "40"]).status().await.unwrap();
    assert!(resized.success());
    stdin.write_all(b"\n").await.unwrap();
    read_until(&mut stdout, &mut seen, "40 120").await;
}

/// The terminal of the ssh client under `script`.
fn ssh_tty(parent: u32) -> String {
    let out = std::process::Command::new("ps")
        .args(["--ppid", &parent.to_string(), "-o", "tty="])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    format!("/dev/{}", text.lines().next().unwrap().trim())
}

async fn read_until(from: &mut (impl AsyncReadExt + Unpin), seen: &mut Vec<u8>, what: &str) {
    let reading = async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(seen).contains(what) {
            let n = from.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the end, without {what:?}: {}", String::from_utf8_lossy(seen));
            seen.extend_from_slice(&buffer[..n]);
        }
    };
    tokio::time::timeout(common::PATIENCE, reading).await.unwrap_or_else(|_| panic!("no {what:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_in_and_out_by_scp_sftp_and_rsync() {
    let real = RealPortal::start().await;
    real.vm("web1").await;
    let dir = real.portal.dir.path();
    let bytes: Vec<u8> = (0..2_000_003_u32).map(|i| (i * 7 % 253) as u8).collect();
    std::fs::write(dir.join("there"), &bytes).unwrap();
    let port = real.portal.address.port().to_string();
    let flags = real.portal.flags(&real.key);
    let file = |name: &str| dir.join(name).display().to_string();

    for (legacy, name) in [(false, "a"), (true, "b")] {
        let mut scp = Command::new("scp");
        scp.args(&flags).args(["-q", "-P", &port]).args(legacy.then_some("-O"));
        let out = output(scp.args([file("there"), format!("alice+web1@127.0.0.1:/tmp/{name}")])).await;
        assert_eq!(status(&out), 0, "scp: {}", stderr(&out));
        let mut scp = Command::new("scp");
        scp.args(&flags).args(["-q", "-P", &port]).args(legacy.then_some("-O"));
        let out = output(scp.args([format!("alice+web1@127.0.0.1:/tmp/{name}"), file(name)])).await;
        assert_eq!(status(&out), 0, "scp: {}", stderr(&out));
        assert!(std::fs::read(dir.join(name)).unwrap() == bytes);
    }

    let batch = dir.join("batch");
    std::fs::write(&batch, format!("put {} /tmp/c\nget /tmp/c {}\nls /nowhere\n", file("there"), file("c")))
        .unwrap();
    let mut sftp = Command::new("sftp");
    sftp.args(&flags).args(["-q", "-P", &port, "-b"]).arg(&batch).arg("alice+web1@127.0.0.1");
    let out = output(&mut sftp).await;
    assert_eq!(status(&out), 1, "the missing file is an error: {}", stderr(&out));
    assert!(std::fs::read(dir.join("c")).unwrap() == bytes);

    let shell = format!("ssh {} -p {port}", flags.join(" "));
    let mut rsync = Command::new("rsync");
    let out = output(rsync.args(["-e", &shell, &file("there"), "alice+web1@127.0.0.1:/tmp/d"])).await;
    assert_eq!(status(&out), 0, "rsync: {}", stderr(&out));
    let mut rsync = Command::new("rsync");
    let out = output(rsync.args(["-e", &shell, "alice+web1@127.0.0.1:/tmp/d", &file("d")])).await;
    assert_eq!(status(&out), 0, "rsync: {}", stderr(&out));
    assert!(std::fs::read(dir.join("d")).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn jumps_go_end_to_end_with_a_host_key_that_is_known() {
    let real = RealPortal::start().await;
    let vm = real.vm("web1").await;
    let portal = format!("127.0.0.1:{}", real.portal.address.port());
    let printed = stdout(&real.done(&["ssh-config", "--portal", &portal]).await);
    assert!(printed.contains(vm["host_key"].as_str().unwrap()));
    let config = real.ssh_config(&printed);
    let out =
        output(Command::new("ssh").arg("-F").arg(&config).args(["web1", "hostname"]).stdin(Stdio::null()))
            .await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "web1\n"), "{}", stderr(&out));

    // As people type it; the name is the portal's to resolve.
    let config = real.ssh_config("");
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).args(["-J", "portal", "root@web1", "hostname"]).stdin(Stdio::null());
    let out = output(&mut ssh).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "web1\n"), "{}", stderr(&out));

    // Another port of the VM, through its own SSH server.
    let out =
        real.inside("web1", "(echo hello from inside | nc -l -p 8080) >/dev/null 2>&1 & sleep 0.2").await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).args(["-W", "web1:8080", "portal"]).stdin(Stdio::null());
    assert_eq!(stdout(&output(&mut ssh).await), "hello from inside\n");

    // And one by its number, which is not there.
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).args(["-o", "LogLevel=INFO", "-W", "web1:9", "portal"]).stdin(Stdio::null());
    let out = output(&mut ssh).await;
    assert!(status(&out) != 0 && stderr(&out).contains("cannot connect"), "{}", stderr(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_and_the_agent_reach_through() {
    let real = RealPortal::start().await;
    real.vm("web1").await;
    // -L: what listens in the guest answers here.
    let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut ssh = real.portal.ssh(&real.key);
    ssh.args([
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-L",
        &format!("{local}:127.0.0.1:22"),
        "alice+web1@127.0.0.1",
    ]);
    let mut forward = ssh.spawn().unwrap();
    common::until("the forward answers", || async {
        let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", local)).await else { return false };
        let mut first = [0; 8];
        stream.read_exact(&mut first).await.is_ok() && &first == b"SSH-2.0-"
    })
    .await;
    forward.kill().await.unwrap();

    // -A: the guest signs in to itself with a key that only the client's agent has.
    let socket = real.portal.dir.path().join("agent");
    let mut agent = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    common::until("the agent is there", || async { socket.exists() }).await;
    let added = Command::new("ssh-add")
        .arg("-q")
        .arg(&real.key)
        .env("SSH_AUTH_SOCK", &socket)
        .status()
        .await
        .unwrap();
    assert!(added.success());
    let mut ssh = real.portal.ssh(&real.key);
    ssh.env("SSH_AUTH_SOCK", &socket);
    let hop = "ssh -y -y root@127.0.0.1 'echo with the key of the agent'";
    let out = output(ssh.args(["-A", "alice+web1@127.0.0.1", hop])).await;
    assert_eq!(stdout(&out), "with the key of the agent\n", "{}", stderr(&out));
    let out = real.inside("web1", hop).await;
    assert_ne!(status(&out), 0, "without -A there is no agent");
    agent.kill().await.unwrap();
}
