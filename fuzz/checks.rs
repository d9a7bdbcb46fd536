//! What holds for any bytes at all, of each reader that is given other people's.
//! libFuzzer calls these from `fuzz/targets`, and `tests/properties.rs` at every
//! commit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Cursor, Read};
use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use twarga::config::Config;
use twarga::driver::{BootFiles, DomainSpec, Seed};
use twarga::image::Manifest;
use twarga::model::name::{UserName, VmRef};
use twarga::model::{KeyLimits, Time, VmName, text};
use twarga::portal::authorized_keys;
use twarga::portal::keys::parse_public;
use twarga::shell::editor::{Editor, Step};
use twarga::shell::{changes_password, grammar};
use twarga::term::WindowSize;
use twarga::term::keys::{Decoder, Key};
use twarga::tui::tabs::emulator::Emulator;
use twarga::tui::tabs::paint;
use twarga::tui::theme::Depth;

#[track_caller]
fn assert_clean(s: &str) {
    assert!(!s.chars().any(text::is_unsafe), "{s:?}");
}

/// A command line is a command or one clean mistake of ordinary length.
pub fn line(bytes: &[u8]) {
    let _ = changes_password(bytes);
    let Err(e) = grammar::words(bytes).and_then(|words| grammar::parse(&words)) else { return };
    assert_clean(&e.message);
    assert_clean(&e.hint);
    assert!(!e.message.is_empty() && e.exit() as u8 == 2, "{e:?}");
    assert!(e.message.len() < 1000 && e.hint.len() < 1000, "{e:?}");
}

/// Names come back as they were, references too.
pub fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let back = [
        text.parse::<VmName>().map(|n| n.to_string()).ok(),
        text.parse::<UserName>().map(|n| n.to_string()).ok(),
        text.parse::<VmRef>().map(|n| n.to_string()).ok(),
    ];
    for name in back.into_iter().flatten() {
        assert_eq!(name, text);
        assert!(name.len() <= 65 && !name.contains('/') && name.is_ascii(), "{name:?}");
    }
}

/// A configuration is read, or refused with mistakes on lines that exist.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Err(mistakes) = Config::parse(text) else { return };
    assert!(!mistakes.is_empty());
    let lines = text.matches('\n').count() + 1;
    for mistake in mistakes {
        assert!((1..=lines).contains(&mistake.line), "{mistake} of {lines} lines");
        assert_clean(&mistake.message);
    }
}

/// A manifest is read and can be written again, or refused in clean words.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Manifest::parse(text) {
        Ok(manifest) => {
            let written = toml::to_string(&manifest).unwrap();
            assert_eq!(Manifest::parse(&written).unwrap(), manifest);
        }
        Err(why) => assert_clean(&why),
    }
}

/// A public key is refused in clean words, or is kept in a form that is read as
/// the same key again.
pub fn public_key(bytes: &[u8]) {
    match parse_public(&String::from_utf8_lossy(bytes)) {
        Ok(key) => {
            assert_clean(&key.note);
            assert!(!key.line.contains('\n'), "{:?}", key.line);
            let again = parse_public(&key.line).unwrap();
            assert_eq!((again.fingerprint, again.line), (key.fingerprint, key.line));
        }
        Err(e) => assert_clean(&e.message),
    }
}

/// Lines of an authorized_keys file are all read or none is, in clean words; what a
/// key is limited to comes back from the database as it was, and never as less.
pub fn authorized_keys(bytes: &[u8]) {
    let now = Time::from_millis(1_784_000_000_000);
    match authorized_keys::parse(&String::from_utf8_lossy(bytes), now) {
        Ok(keys) => {
            assert!((1..=authorized_keys::MOST_LINES).contains(&keys.len()));
            for key in keys {
                assert_clean(&key.note);
                assert_clean(&key.limits.words());
                assert_eq!(KeyLimits::from_json(key.limits.to_json().as_deref()), key.limits);
                assert!(key.limits.expires_at.is_none_or(|end| end > now));
                let bare = authorized_keys::parse(&key.line, now).unwrap();
                assert_eq!(
                    (&bare[0].fingerprint, &bare[0].limits),
                    (&key.fingerprint, &KeyLimits::default())
                );
            }
        }
        Err(e) => {
            assert_clean(&e.message);
            assert_clean(&e.hint);
            assert!(e.message.len() < 1000, "{e}");
        }
    }
}

/// Keys do not depend on how packets cut them, and an editor takes any of them.
pub fn keys(bytes: &[u8]) {
    let Some((cut, typed)) = bytes.split_first() else { return };
    let whole = Decoder::new().feed(typed);
    let mut decoder = Decoder::new();
    let parts =
        typed.chunks(usize::from(*cut).max(1)).flat_map(|part| decoder.feed(part)).collect::<Vec<_>>();
    assert_eq!(parts, whole);
    let mut editor = Editor::new("> ");
    for key in parts.into_iter().chain(decoder.flush()) {
        if let Key::Char(c) = key {
            assert!(!c.is_control(), "{c:?}");
        }
        let step = editor.on_key(key, &|word| vec![format!("{word}x"), format!("{word}y")]);
        let cols = u16::from(*cut);
        let drawn = if step == Step::Continue { editor.render(cols) } else { editor.finish(cols) };
        std::str::from_utf8(&drawn).unwrap();
        let line = editor.line();
        assert!(line.len() <= twarga::shell::editor::LONGEST_LINE, "{}", line.len());
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// Whatever a guest says while its window changes: what is drawn of it is safe
/// and fits, its answers and its title are short. A byte of 255 is followed by
/// another size.
pub fn guest(bytes: &[u8]) {
    let mut emulator = Emulator::new(WindowSize { cols: 20, rows: 6 });
    for part in bytes.split(|b| *b == 255) {
        let (size, said) = part.split_at(part.len().min(2));
        if let [cols, rows] = *size {
            emulator.resize(WindowSize { cols: u16::from(cols % 48), rows: u16::from(rows % 16) });
        }
        let mut rest = said;
        while !rest.is_empty() {
            rest = &rest[emulator.feed(rest)..];
        }
        assert!(emulator.take_replies().len() <= 1024);
        assert_clean(emulator.title());
        assert!(text::columns(emulator.title()) <= 80);
        let lines = emulator.lines();
        for (top, depth) in
            [(None, Depth::True), (Some(lines.start), Depth::Indexed), (Some(lines.end), Depth::Sixteen)]
        {
            drawn(&mut emulator, top, depth);
        }
        for line in lines.rev().take(50) {
            assert_clean(&emulator.text(line).0);
        }
    }
}

/// Draws a terminal into less room than it has, and more.
fn drawn(emulator: &mut Emulator, top: Option<u64>, depth: Depth) {
    let size = emulator.size();
    for area in [Rect::new(1, 1, size.cols + 3, size.rows + 1), Rect::new(0, 0, size.cols - 1, size.rows)] {
        let mut buffer = Buffer::empty(Rect::new(0, 0, size.cols + 5, size.rows + 3));
        paint::view(&emulator.view(top), area, &mut buffer, depth);
        for y in 0..buffer.area.height {
            let mut x = 0;
            while x < buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                assert_clean(symbol);
                let wide = u16::try_from(text::columns(symbol)).unwrap();
                assert!((1..=2).contains(&wide), "{symbol:?}");
                assert!(symbol == " " || area.contains((x, y).into()), "{symbol:?} is outside");
                assert!(x + wide <= area.right() || symbol == " ", "{symbol:?} stands over the edge");
                x += wide;
            }
        }
    }
}

/// The fields of a seed, cut from bytes at zeros.
fn seed_of(bytes: &[u8]) -> Seed {
    let mut fields = bytes.split(|b| *b == 0).map(|f| String::from_utf8_lossy(f).into_owned());
    let mut next = || fields.next().unwrap_or_default();
    Seed {
        instance_id: next(),
        hostname: next(),
        user: next(),
        host_key: next().into(),
        host_key_public: next(),
        user_data: Some(next()).filter(|d| !d.is_empty()),
        authorized_keys: fields.take(20).collect(),
    }
}

/// What a seed was given stands on its volume, each value in its own place.
pub fn seed(bytes: &[u8]) {
    let seed = seed_of(bytes);
    let Ok(volume) = seed.to_vfat() else {
        assert!(bytes.len() > 50_000, "{} bytes do not fit", bytes.len());
        return;
    };
    let fs = fatfs::FileSystem::new(Cursor::new(volume.to_vec()), fatfs::FsOptions::new()).unwrap();
    let read = |name: &str| {
        let mut text = String::new();
        fs.root_dir().open_file(name).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(read("hostname"), format!("{}\n", seed.hostname));
    assert_eq!(read("ssh_host_ed25519_key"), *seed.host_key);
    let meta: serde_json::Value = serde_json::from_str(&read("meta-data")).unwrap();
    assert_eq!(meta["local-hostname"], seed.hostname);
    let data = read("user-data");
    let ours = data.split("#cloud-config\n").nth(1).unwrap().lines().next().unwrap();
    let ours: serde_json::Value = serde_json::from_str(ours).unwrap();
    assert_eq!(ours["users"][0]["name"], seed.user);
    let keys: Vec<&str> = ours["users"][0]["ssh_authorized_keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|k| k.as_str())
        .collect();
    assert_eq!(keys, seed.authorized_keys);
    if let Some(theirs) = &seed.user_data {
        assert!(data.contains(theirs.as_str()));
    }
}

/// A definition for libvirt is XML in which every value is what it was given, or
/// is refused.
#[cfg(feature = "libvirt")]
pub fn definition(bytes: &[u8]) {
    let mut fields = bytes.split(|b| *b == 0).map(|f| String::from_utf8_lossy(f).into_owned());
    let mut next = || fields.next().unwrap_or_default();
    let spec = DomainSpec {
        uuid: uuid::Uuid::from_u128(7),
        name: next(),
        title: next(),
        vcpus: 1,
        ram_mb: 128,
        disk_gb: 1,
        boot: BootFiles {
            kernel: PathBuf::from(next()),
            initrd: PathBuf::from(next()),
            kernel_args: next(),
            disk: PathBuf::from("disk"),
        },
        dir: PathBuf::from(next()),
        seed: seed_of(b""),
        ssh_port: 2222,
        guest_agent: true,
    };
    let Ok(xml) = twarga::driver::libvirt::definition(&spec) else { return };
    let xml = roxmltree::Document::parse(&xml).unwrap_or_else(|e| panic!("{e}: {xml}"));
    let find = |tag: &str| xml.descendants().find(|n| n.has_tag_name(tag)).and_then(|n| n.text());
    assert_eq!(find("name"), Some(spec.name.as_str()));
    assert_eq!(find("uuid"), Some("00000000-0000-0000-0000-000000000007"));
    let kernel = std::path::absolute(&spec.boot.kernel).unwrap();
    assert_eq!(find("kernel"), kernel.to_str());
    let disks = xml.descendants().filter(|n| n.has_tag_name("disk")).count();
    assert_eq!(disks, 2);
}
