//! Secrets at rest: sealed in the database, with a key outside of it that can be
//! changed; and nowhere else at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/authenticator.rs"]
mod authenticator;
mod common;
#[path = "common/place.rs"]
mod place;
#[path = "common/work.rs"]
mod work;

use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use authenticator::{App, code, ssh_with_code};
use common::{PASSWORD, TestPortal, mock, output, status, stderr, stdout};
use place::{Place, Serving};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;
use twarga::action::totp::{TotpBackupCodes, TotpConfirm, TotpDisable};
use twarga::driver::mock::MockDriver;
use twarga::error::Code;
use twarga::portal::auth::Verdict;
use work::*;
use zeroize::Zeroizing;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Runs the program over a portal's directory.
fn program(dir: &Path, words: &[&str]) -> (i32, String) {
    program_that_dies(dir, words, "nowhere")
}

fn program_that_dies(dir: &Path, words: &[&str], at: &str) -> (i32, String) {
    std::fs::write(dir.join("twarga.toml"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_twarga"));
    command.args(words).current_dir(dir).env("TWARGA_DIE_AT", at).stdin(Stdio::null());
    let out = command.output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.code().unwrap_or(-1), String::from_utf8(said).unwrap())
}

/// A stopped portal of alice's, with a VM and a second factor.
async fn stopped() -> (TempDir, App) {
    let (portal, _driver) = mock().await;
    let alice = portal.user("alice", "user").await;
    make_vm(&portal.portal, &alice, "web").await;
    let app = App::set_up(&portal, &alice).await;
    let dir = portal.stop().await;
    // Whoever used the database lets it go with its last handle.
    for _ in 0..500 {
        if !dir.path().join("data/twarga.db-wal").exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    (dir, app)
}

fn sealing_key(dir: &Path) -> PathBuf {
    dir.join("host-keys/sealing_key")
}

fn sealed(dir: &Path) -> Vec<String> {
    let db = database_in(dir);
    let mut all = Vec::new();
    for sql in ["SELECT host_key_private FROM vms", "SELECT secret FROM totp"] {
        let mut found = db.prepare(sql).unwrap();
        all.extend(found.query_map([], |r| r.get::<_, String>(0)).unwrap().map(Result::unwrap));
    }
    all
}

/// Opens the portal over that directory: the VM can be made again by what is
/// sealed, and the second factor is still alice's.
async fn assert_all_opens(dir: TempDir, app: &App, when: &str) -> TempDir {
    let portal = TestPortal::start_in(dir, Arc::new(MockDriver::new()), |_| {}).await;
    let mut login = portal.portal.login(HERE);
    let first = login.password("alice", Zeroizing::new(PASSWORD.to_owned())).await;
    assert!(matches!(first, Verdict::More), "{when}");
    let code = Zeroizing::new(app.fresh(&portal));
    assert!(login.code("alice", &code).await.principal().is_some(), "{when}");
    portal.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_takes_the_place_of_the_old_whenever_it_is_stopped() {
    let (mut dir, app) = stopped().await;
    for at in ["keys are two", "sealed anew", "key is one", "nowhere"] {
        let (key, values) = (std::fs::read(sealing_key(dir.path())).unwrap(), sealed(dir.path()));
        assert!(values.len() == 2 && values.iter().all(|v| v.starts_with("v1:")), "{values:?}");
        let (status, said) = program_that_dies(dir.path(), &["keys", "rotate"], at);
        assert_eq!(status, if at == "nowhere" { 0 } else { -1 }, "{at}: {said}");
        assert_ne!(std::fs::read(sealing_key(dir.path())).unwrap(), key, "{at}");
        let mode = std::fs::metadata(sealing_key(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        dir = assert_all_opens(dir, &app, at).await;
    }
    let key = std::fs::read_to_string(sealing_key(dir.path())).unwrap();
    assert_eq!(key.lines().count(), 1, "old keys are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_started_with_the_host_key_that_was_sealed_anew() {
    let (portal, driver) = mock().await;
    let alice = portal.user("alice", "user").await;
    let vm = make_vm(&portal.portal, &alice, "web").await;
    let before = driver.spec(vm.uuid).unwrap().seed.host_key;
    assert!(before.contains("PRIVATE KEY"));
    let dir = portal.stop().await;
    let (status, said) = program(dir.path(), &["keys", "rotate"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("1 secrets"), "{said}");
    let driver = Arc::new(MockDriver::new());
    let portal = TestPortal::start_in(dir, Arc::clone(&driver) as _, |_| {}).await;
    let alice = portal.sign_in("alice", PASSWORD).await;
    // The new driver knows it not: it is made again from what is written down.
    let start = twarga::action::vm::VmStart { names: vms(&["web"]), no_wait: false };
    change(&portal.portal, &alice, start).await.unwrap();
    assert_eq!(*driver.spec(vm.uuid).unwrap().seed.host_key, *before);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_before_are_sealed_at_the_start() {
    let (dir, app) = stopped().await;
    let plain = "-----BEGIN OPENSSH PRIVATE KEY-----\nPLANTED-host-key\n";
    database_in(dir.path()).execute("UPDATE vms SET host_key_private = ?1", [plain]).unwrap();
    let dir = assert_all_opens(dir, &app, "sealed at the start").await;
    assert!(sealed(dir.path()).iter().all(|v| v.starts_with("v1:")));
    assert!(!everything_in(&dir.path().join("data")).contains("PLANTED-host-key"), "it is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_it_neither_starts_nor_makes_another() {
    let (dir, app) = stopped().await;
    let file = sealing_key(dir.path());
    let aside = dir.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    for words in [&["serve"][..], &["keys", "rotate"], &["backup", "b.tar"]] {
        let (status, said) = program(dir.path(), words);
        assert!(
            status > 0 && said.contains("sealing key") && said.contains("from a backup"),
            "{words:?}: {said}"
        );
        assert!(!file.exists(), "{words:?} made a key");
    }
    let (_, said) = program(dir.path(), &["doctor"]);
    assert!(said.contains("FAIL  host keys") && said.contains("sealing key"), "{said}");
    std::fs::copy(&aside, &file).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let (status, said) = program(dir.path(), &["serve"]);
    assert!(status > 0 && said.contains("chmod 600"), "{said}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_all_opens(dir, &app, "the key is back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_keys_opens_only_where_they_are() {
    let (dir, app) = stopped().await;
    let (status, said) = program(dir.path(), &["backup", "with.tar"]);
    assert!(status == 0 && said.contains("the portal's keys, which open what is sealed"), "{said}");
    let (status, said) = program(dir.path(), &["backup", "without.tar", "--without-keys"]);
    assert!(status == 0 && said.contains("no keys"), "{said}");
    let names = |file: &str| {
        let mut archive = tar::Archive::new(std::fs::File::open(dir.path().join(file)).unwrap());
        let name = |e: std::io::Result<tar::Entry<'_, _>>| e.unwrap().path().unwrap().display().to_string();
        archive.entries().unwrap().map(name).collect::<Vec<_>>()
    };
    assert!(names("with.tar").contains(&String::from("host-keys/sealing_key")));
    assert_eq!(names("without.tar"), ["twarga.db"]);

    let other = tempfile::tempdir().unwrap();
    for file in ["with.tar", "without.tar"] {
        std::fs::copy(dir.path().join(file), other.path().join(file)).unwrap();
    }
    let (status, said) = program(other.path(), &["restore", "without.tar"]);
    assert!(status > 0 && said.contains("sealing key"), "{said}");
    assert!(!other.path().join("data/twarga.db").exists(), "half restored");
    assert_eq!(program(other.path(), &["restore", "with.tar"]).0, 0);
    assert_all_opens(other, &app, "elsewhere, with its keys").await;
    assert_eq!(program(dir.path(), &["restore", "without.tar"]).0, 0);
    assert_all_opens(dir, &app, "here, where the keys are").await;
}

/// Every byte below a folder.
fn everything_in(dir: &Path) -> String {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything_in(&path).into_bytes());
        } else if let Ok(mut file) = std::fs::File::open(path) {
            let _ = file.read_to_end(&mut all);
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;
    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_nowhere_after_a_full_run() {
    let log = Log::default();
    let filter = tracing_subscriber::EnvFilter::new("info,twarga=trace");
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (portal, driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let vm = make_vm(p, &alice, "web").await;
    let host_key = driver.spec(vm.uuid).unwrap().seed.host_key.lines().nth(3).unwrap().to_owned();
    let app = App::set_up(&portal, &alice).await;
    let mut errors = String::new();

    let mut used = vec![app.fresh(&portal)];
    for answer in [&app.wrong(), &used[0], &used[0], &app.backup_codes[0], &app.backup_codes[0]] {
        let mut login = p.login(HERE);
        let _ = login.password("alice", Zeroizing::new(PASSWORD.to_owned())).await;
        let _ = login.code("alice", &Zeroizing::new(answer.clone())).await;
    }
    let wrong = "PLANTED-phrase";
    let proof = || Zeroizing::new(String::from(wrong));
    errors += &refused(p, &alice, TotpDisable { proof: proof() }).await.to_string();
    errors += &refused(p, &alice, TotpBackupCodes { proof: proof() }).await.to_string();
    errors += &refused(p, &alice, TotpConfirm { code: vec![used[0].clone()] }).await.to_string();
    let renewed = TotpBackupCodes { proof: Zeroizing::new(app.backup_codes[1].clone()) };
    let renewed = p.perform(&alice, renewed).await.unwrap().backup_codes;
    // As a line, by the client.
    let key = portal.keygen("alice", &["-t", "ed25519"]);
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    p.perform(&alice, twarga::action::key::KeyAdd::of(line)).await.unwrap();
    let words = ["alice@127.0.0.1", "account", "totp", "confirm", "--json", "PLANTED-code"];
    let out = output(ssh_with_code(&portal, &key, &app.fresh(&portal)).args(words)).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (4, ""), "{}", stderr(&out));
    errors += &stderr(&out);
    used.push(code(&app.secret, 0));

    let config = p.config().clone();
    let dir = portal.stop().await;
    let (status, said) = program(dir.path(), &["backup", "b.tar"]);
    assert_eq!(status, 0, "{said}");
    let archive = std::fs::read(dir.path().join("b.tar")).unwrap();
    let archive = String::from_utf8_lossy(&archive).into_owned();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let files = everything_in(&config.data_dir);
    assert!(
        files.contains("alice") && archive.contains("alice") && !log.is_empty(),
        "the search itself works"
    );
    let raw = data_encoding::BASE32_NOPAD.decode(app.secret.as_bytes()).unwrap();
    let [hex, base64] = [data_encoding::HEXLOWER.encode(&raw), data_encoding::BASE64.encode(&raw)];
    let mut secrets = vec![app.secret.clone(), hex, base64, host_key, String::from("PLANTED")];
    secrets.extend([PASSWORD.to_owned(), String::from("otpauth://")]);
    secrets.extend(app.backup_codes.iter().cloned().chain(renewed.iter().map(|c| c.to_string())));
    for secret in secrets {
        let bare = secret.replace('-', "");
        for secret in [&secret, &bare] {
            for (place, text) in [
                ("files", &files),
                ("log", &log),
                ("errors", &errors),
                ("backup", &archive),
                ("words", &said),
            ] {
                assert!(!text.contains(secret.as_str()), "{secret} is in the {place}");
            }
        }
    }
    // Codes are short: by themselves they are found by chance. In words they are not.
    for code in used {
        assert!(!log.contains(&code) && !errors.contains(&code));
        let told = "SELECT count(*) FROM events WHERE instr(message || details || coalesce(target, ''), ?1)";
        let told: i64 = database_in(dir.path()).query_row(told, [&code], |r| r.get(0)).unwrap();
        assert_eq!(told, 0);
    }
    let raw_key = String::from_utf8_lossy(&raw).into_owned();
    assert!(!files.contains(&raw_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_owner_takes_a_second_factor_off_and_that_is_told() {
    let (dir, _app) = stopped().await;
    let (status, said) = program(dir.path(), &["user", "reset-2fa", "alice"]);
    assert!(status == 0 && said.contains("alice has no second factor any more"), "{said}");
    let (status, said) = program(dir.path(), &["user", "reset-2fa", "alice"]);
    assert!(status == 0 && said.contains("nothing to reset"), "{said}");
    assert_eq!(program(dir.path(), &["user", "reset-2fa", "nobody"]).0, 3);
    let told =
        "SELECT count(*) FROM events WHERE action = 'user.reset_2fa' AND actor = 'host' AND target = 'alice'";
    assert_eq!(count(&database_in(dir.path()), told), 1);
    let portal = TestPortal::start_in(dir, Arc::new(MockDriver::new()), |_| {}).await;
    portal.sign_in("alice", PASSWORD).await;
}

#[test]
fn a_portal_that_serves_leaves_no_dump_of_itself() {
    let place = Place::new();
    place.init_with_key();
    let serving: Serving = place.serve();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.pid())).unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    place.run(&["keys", "rotate"]).expect(4).says("serving");
    assert_eq!(serving.terminate(), 0);
    place.run(&["keys", "rotate"]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_moved_to_another_account_opens_nothing() {
    let (portal, _driver) = mock().await;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    let _ = App::set_up(&portal, &alice).await;
    let mallory = App::set_up(&portal, &bob).await;
    let moved = "UPDATE totp SET last_step = 0,
        secret = (SELECT secret FROM totp WHERE user_id = ?2) WHERE user_id = ?1";
    database(&portal).execute(moved, [alice.user_id(), bob.user_id()]).unwrap();
    let mut login = portal.portal.login(HERE);
    let _ = login.password("alice", Zeroizing::new(PASSWORD.to_owned())).await;
    let code = Zeroizing::new(code(&mallory.secret, 0));
    assert!(login.code("alice", &code).await.principal().is_none());
    let e = refused(&portal.portal, &alice, TotpBackupCodes { proof: code }).await;
    assert_eq!(e.code, Code::DatabaseCorrupt);
}
