//! The program on the host, as whoever owns the host uses it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/place.rs"]
mod place;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use place::{Place, Serving, files, install_fake_image};

const PASSWORD: &str = "seven brown foxes\n";

/// The words that look like a one-time password.
fn one_time_passwords(said: &str) -> Vec<&str> {
    let sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is =
        |w: &&str| w.len() == 19 && w.split('-').count() == 4 && w.split('-').all(|p| p.chars().all(sign));
    said.split_whitespace().filter(is).collect()
}

#[test]
fn there_is_help_on_every_level() {
    let place = Place::new();
    let levels: &[&[&str]] = &[
        &[],
        &["serve"],
        &["init"],
        &["doctor"],
        &["image"],
        &["image", "build"],
        &["user"],
        &["user", "passwd"],
        &["user", "reset-2fa"],
        &["backup"],
        &["restore"],
        &["config"],
        &["config", "check"],
    ];
    for level in levels {
        for flag in ["--help", "-h"] {
            let done = place.run(&[level, [flag].as_slice()].concat()).expect(0);
            assert!(done.stdout.contains("Usage: twarga"), "{level:?}: {}", done.stdout);
            assert!(done.stdout.contains("--config"), "{level:?}: {}", done.stdout);
            assert_eq!(done.stderr, "", "{level:?}");
        }
    }
    assert!(place.run(&["--version"]).expect(0).stdout.starts_with("twarga "));
    for wrong in
        [&[][..], &["srve"], &["image"], &["user", "passwd"], &["serve", "--frobnicate"], &["backup"]]
    {
        let done = place.run(wrong).expect(2);
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{wrong:?}");
    }
    assert_eq!(files(place.dir.path()), ["twarga.toml"], "asking made files");
}

#[test]
fn config_check_tells_every_mistake_with_its_line() {
    let place = Place::new();
    let done = place.run(&["config", "check"]).expect(0);
    assert_eq!(done.stdout, "The configuration is right.\n");
    place.write("bad.toml", "data_dri = \"x\"\n[ssh]\nlisten = 5\nmax_startups = -1\n[driver.libvirt]\nfirst_port = 3000\nlast_port = 2000\n[[plan]]\nname = \"a\"\n[[plan]]\nname = \"a\"\n");
    let done = place.run(&["config", "check", "--config", "bad.toml"]).expect(2);
    for line in ["bad.toml: line 1: ", "line 3: ", "line 4: ", "line 7: ", "line 11: "] {
        assert!(done.stderr.contains(line), "{line}: {}", done.stderr);
    }
    assert!(done.stderr.contains("Did you mean `data_dir`?") && done.stdout.is_empty());
    for other in [&["serve"][..], &["init", "--admin", "a", "--password-stdin"], &["backup", "b.tar"]] {
        place.run(&[other, &["--config", "bad.toml"]].concat()).expect(2).says("line 3");
    }
    place
        .run(&["config", "check", "--config", "nonesuch.toml"])
        .expect(2)
        .says("nonesuch.toml cannot be read");
    place.write("twarga.toml", "= =");
    place.run(&["config", "check"]).expect(2).says("line 1: Not TOML");
    std::fs::remove_file(place.path("twarga.toml")).unwrap();
    place.run(&["config", "check"]).expect(0);
}

#[test]
fn init_sets_up_once() {
    let place = Place::new();
    let init = ["init", "--admin", "root_", "--password-stdin"];
    place.feed(&init, PASSWORD).expect(2).says("cannot be the name");
    let init = ["init", "--admin", "boss", "--password-stdin"];
    for weak in ["", "\n", "short\n", "aaaaaaaaaaaaaaaa\n", "the-boss-is-here\n"] {
        place.feed(&init, weak).expect(2).says("password");
    }
    assert!(!place.path("data/twarga.db").exists(), "a refused set-up leaves a database");
    place.feed(&init, PASSWORD).expect(0);
    for file in ["data/twarga.db", "host-keys/ssh_host_ed25519_key"] {
        let mode = std::fs::metadata(place.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    let sql = "SELECT name || ' ' || role || ' ' || must_change_password FROM users";
    let row: String = place.database().query_row(sql, [], |r| r.get(0)).unwrap();
    assert_eq!(row, "boss admin 0");
    place.feed(&init, PASSWORD).expect(4).says("There is a database already");
    place.run(&["init"]).expect(2);
}

#[test]
fn init_takes_a_key_file_and_no_other_file() {
    let place = Place::new();
    place.keygen("id");
    place.run(&["init", "--key", "id"]).expect(2).says("private key");
    place.run(&["init", "--key", "nonesuch.pub"]).expect(2).says("nonesuch.pub cannot be read");
    place.run(&["init", "--key", "twarga.toml"]).expect(2);
    place.run(&["init", "--key", "id.pub", "--password-stdin"]).expect(2);
    assert!(!place.path("data/twarga.db").exists(), "a refused set-up leaves a database");
    place.run(&["init", "--key", "id.pub"]).expect(0);
    let serving = place.serve();
    assert!(one_time_passwords(&serving.said).is_empty(), "{}", serving.said);
    assert_eq!(place.ssh(serving.port, &["whoami"]).expect(0).stdout, "admin\n");
}

#[test]
fn whoever_owns_the_host_recovers_accounts() {
    let place = Place::new();
    place.feed(&["user", "passwd", "admin", "--password-stdin"], PASSWORD).expect(7).says("no database");
    place.init_with_key();
    let passwd =
        |name: &str, password: &str| place.feed(&["user", "passwd", name, "--password-stdin"], password);
    passwd("nobody", PASSWORD).expect(3).says("No account called “nobody”");
    passwd("No Body", PASSWORD).expect(2);
    passwd("admin", "short\n").expect(2).says("at least 10");
    let hash = || {
        place.database().query_row("SELECT password_hash FROM users", [], |r| r.get::<_, Option<String>>(0))
    };
    assert_eq!(hash().unwrap(), None);
    let done = passwd("admin", PASSWORD).expect(0);
    assert!(!done.stdout.contains(PASSWORD.trim()) && hash().unwrap().unwrap().starts_with("$argon2id$"));
    // While it serves, too.
    let serving = place.serve();
    passwd("admin", "nine purple toads\n").expect(0);
    place.run(&["user", "reset-2fa", "admin"]).expect(0);
    place.run(&["user", "reset-2fa", "nobody"]).expect(3);
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn doctor_finds_what_is_wrong_and_tells_the_mend() {
    let place = Place::new();
    let done = place.run(&["doctor"]);
    for check in
        ["config", "data dir", "database", "host keys", "disk space", "images", "ssh port", "http port"]
    {
        assert!(done.stdout.contains(check), "{check}: {}", done.stdout);
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let blocked = place.write("a-file", "x");
    let config = format!(
        "data_dir = \"{}/data\"\n[ssh]\nlisten = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[driver.libvirt]\nuri = \"nonsense://\"\n",
        blocked.display(),
        taken.local_addr().unwrap()
    );
    place.write("sick.toml", config);
    let done = place.run(&["doctor", "--json", "--config", "sick.toml"]).expect(1);
    let found: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let of = |name: &str| {
        found.as_array().unwrap().iter().find(|f| f["name"] == name).unwrap_or(&serde_json::Value::Null)
    };
    for sick in ["data dir", "ssh port"] {
        assert_eq!(of(sick)["status"], "unhealthy", "{sick}: {found:#}");
        assert!(!of(sick)["mend"].as_str().unwrap().is_empty(), "{sick}");
    }
    assert_eq!(of("config")["status"], "healthy");
    let libvirt = found
        .as_array()
        .unwrap()
        .iter()
        .any(|f| f["status"] == "unhealthy" && f["name"].as_str().unwrap().contains("libvirt"));
    assert!(libvirt, "{found:#}");
    place.write("sick.toml", "x = 1\n");
    let done = place.run(&["doctor", "--config", "sick.toml"]).expect(1);
    assert!(done.stdout.contains("FAIL  config") && done.stdout.contains("line 1"), "{}", done.stdout);
}

#[test]
fn doctor_finds_damage_and_what_others_may_not_write() {
    let place = Place::new();
    let image = install_fake_image(&place);
    place.write("data/twarga.db", b"no database, but long enough to be one of them. ".repeat(300));
    std::fs::set_permissions(image.join("kernel"), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(image.join("kernel"), "kernex").unwrap();
    let done = place.run(&["doctor"]).expect(1);
    assert!(
        done.stdout.contains("FAIL  database") && done.stdout.contains("twarga restore"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("FAIL  images") && done.stdout.contains("kernel"), "{}", done.stdout);
    place.run(&["serve"]).expect(7).says("damaged").says("twarga restore");
    let done = place.run_as_nobody(&["doctor", "--config", "twarga.toml"]).expect(1);
    assert!(done.stdout.contains("FAIL  data dir"), "{}", done.stdout);
    place.run_as_nobody(&["serve"]).expect(2).says("cannot be written");
}

#[test]
fn an_image_without_a_recipe_is_not_found() {
    let place = Place::new();
    place.run(&["image", "build", "nonesuch"]).expect(3).says("micro, debian-12");
    place.run(&["image", "build", "../micro"]).expect(3);
    assert!(!place.path("data").exists());
}

#[test]
fn relative_paths_start_where_the_program_does() {
    let place = Place::new();
    place.write("etc/sub.toml", "data_dir = \"here\"\nhost_key_dir = \"keys-here\"\n");
    place.feed(&["init", "--password-stdin", "--config", "etc/sub.toml"], PASSWORD).expect(0);
    assert!(place.path("here/twarga.db").exists() && place.path("keys-here/portal_ed25519_key").exists());
    place.run(&["--config", "etc/sub.toml", "backup", "etc/b.tar"]).expect(0);
    assert!(place.path("etc/b.tar").exists());
    assert_eq!(files(&place.path("etc")), ["b.tar", "sub.toml"], "the backup left something");
}

#[test]
fn the_first_start_prints_a_one_time_password_once() {
    let place = Place::new();
    let first = place.serve();
    assert_eq!(one_time_passwords(&first.said).len(), 1, "{}", first.said);
    let password = one_time_passwords(&first.said)[0].to_owned();
    let second = place.run(&["serve"]).expect(4).says("Another portal is serving");
    assert!(one_time_passwords(&second.stdout).is_empty());
    assert_eq!(first.terminate(), 0);
    let must: i64 =
        place.database().query_row("SELECT must_change_password FROM users", [], |r| r.get(0)).unwrap();
    assert_eq!(must, 1);
    let again = place.serve();
    assert!(one_time_passwords(&again.said).is_empty(), "{}", again.said);
    assert_eq!(again.terminate(), 0);
    for file in ["twarga.db", "twarga.db-wal"] {
        let bytes = std::fs::read(place.path("data").join(file)).unwrap_or_default();
        assert!(
            !bytes.windows(password.len()).any(|w| w == password.as_bytes()),
            "{file} holds the password"
        );
    }
}

#[test]
fn a_signal_ends_it_in_good_order_whoever_is_connected() {
    let place = Place::new();
    place.init_with_key();
    // As early as it says that it serves, and with somebody who never says a word.
    for _ in 0..5 {
        assert_eq!(place.serve().terminate(), 0);
    }
    let serving = place.serve();
    let _silent = std::net::TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
    assert_eq!(serving.terminate(), 0);
    let mut killed = place.command(&["serve"]);
    killed.env("TWARGA_LOG", "debug");
    drop(Serving::start(killed));
    // A killed one leaves nothing that keeps the next from serving.
    let serving = place.serve();
    assert_eq!(place.ssh(serving.port, &["whoami"]).expect(0).stdout, "admin\n");
}

#[test]
fn a_port_that_is_taken_is_told_as_that() {
    let place = Place::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    for (section, other) in [("ssh", "http"), ("http", "ssh")] {
        place.write("twarga.toml", format!("[{section}]\nlisten = \"{taken}\"\n[{other}]\nlisten = \"127.0.0.1:0\"\n[driver.libvirt]\nuri = \"test:///default\"\n"));
        let done = place.run(&["serve"]);
        assert!(done.status != 0 && done.stderr.contains(&taken.to_string()), "{section}: {done:?}");
        assert!(!done.stderr.contains("panicked"), "{done:?}");
        assert!(one_time_passwords(&done.stdout).is_empty(), "a password is printed by a start that fails");
    }
}

#[test]
fn an_image_that_was_changed_makes_no_machine() {
    let place = Place::new();
    place.init_with_key();
    let image = install_fake_image(&place);
    std::fs::set_permissions(image.join("kernel"), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(image.join("kernel"), "kernex").unwrap();
    let serving = place.serve();
    let done = place.ssh(serving.port, &["vm", "new", "web1", "--json"]).expect(7);
    let error: serde_json::Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "image.invalid", "{error}");
    assert_eq!(done.stdout, "");
    assert_eq!(place.ssh(serving.port, &["vm", "ls", "--all", "--json"]).expect(0).stdout.trim(), "[]");
    assert_eq!(files(&place.path("data/vms")), [""; 0]);
    assert_eq!(serving.terminate(), 0);
}
