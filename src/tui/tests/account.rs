//! The page of one's account.

use ratatui::style::Modifier;
use zeroize::Zeroizing;

use super::*;
use crate::action::account::Me as Account;
use crate::action::totp::{BackupCodes, NewSecret, SecondFactor};
use crate::error::{Code, Error};
use crate::model::preferences::Palette;
use crate::model::{SessionInfo, Setting, SshKey, User};
use crate::tui::feeds::Heard;
use crate::tui::page::News;
use crate::tui::pages::account::{add_key, enrol, factor, keys, password, preferences, prove};
use crate::tui::widgets::listing::tests::{acted, listed};

const SIZES: [(u16, u16); 3] = [(40, 12), (80, 24), (200, 60)];

pub fn user(id: i64, name: &str, role: RoleName) -> User {
    User {
        id,
        name: name.into(),
        role,
        enabled: true,
        must_change_password: false,
        created_at: Time::from_millis(1_784_000_000_000),
        last_login_at: None,
    }
}

fn key(id: i64, note: &str) -> SshKey {
    SshKey {
        id,
        user_id: 1,
        algorithm: "ssh-ed25519".into(),
        fingerprint: format!("SHA256:{id}Rz3yXkRz3yXkRz3yXkRz3yXkRz3yXkRz3yXkRz3yXk"),
        note: note.into(),
        line: "ssh-ed25519 AAAA".into(),
        created_at: Time::from_millis(1_784_000_000_000),
        last_used_at: None,
        last_used_from: None,
        limits: crate::model::KeyLimits::default(),
    }
}

pub fn session(id: &str, user: &str, current: bool) -> SessionInfo {
    SessionInfo {
        method: String::from("publickey"),
        route: String::from("portal"),
        vms: Vec::new(),
        ends_at: None,
        id: id.into(),
        user: user.into(),
        source_ip: "203.0.113.9".into(),
        signed_in_at: Time::from_millis(1_784_000_000_000),
        idle_s: 75,
        bytes_in: 1536,
        bytes_out: 3 << 20,
        current,
    }
}

/// Gives the page what it asked for, as the portal would.
fn tell(model: &mut Model, news: News) -> Vec<String> {
    words(&update(model, Msg::News("account", news)))
}

fn me() -> Account {
    Account {
        user: user(1, "alice", RoleName::USER),
        has_password: true,
        second_factor: false,
        session: "3f9a52c81b07".into(),
        source_ip: "203.0.113.9".into(),
        since: Time::from_millis(1_784_000_000_000),
        keys: 2,
        vms: 5,
        groups: Vec::new(),
        grants: Vec::new(),
    }
}

fn stands(enabled: bool) -> SecondFactor {
    SecondFactor {
        enabled,
        since: enabled.then(|| Time::from_millis(1_784_000_000_000)),
        to_be_confirmed: false,
        backup_codes_left: 7,
        demanded: false,
    }
}

fn page(cols: u16, rows: u16) -> Model {
    let mut model = model(RoleName::USER, cols, rows);
    press(&mut model, ":account\r");
    tell(&mut model, listed::<keys::Keys>(vec![key(3, "laptop"), key(7, "phone")]));
    tell(&mut model, Box::new(password::Heard::Me(Ok(Box::new(me())))));
    tell(&mut model, Box::new(factor::Heard::Stands(Ok(stands(true)))));
    let sessions = vec![session("3f9a52c81b07", "alice", true), session("77aa52c81b07", "alice", false)];
    tell(&mut model, Box::new(Heard { feed: 0, news: Ok(sessions) }));
    model
}

fn screen(model: &mut Model) -> String {
    seen(model).0.join("\n")
}

/// Goes to the part of that title.
fn part(model: &mut Model, title: &str) {
    while !model.crumbs().contains(&title.to_owned()) {
        press(model, "\t");
    }
}

#[test]
fn every_part_fits_small_usual_and_large_screens() {
    for (cols, rows) in SIZES {
        let mut model = page(cols, rows);
        for (title, words) in [
            ("Keys", &["NOTE", "laptop", "USED", "never"][..]),
            ("Password", &["Another password", "Password so far", "The same again"]),
            ("Factor", &["Backup codes", "7 left", "authenticator app"]),
            ("Preferences", &["theme", "‹ auto ›", "time zone", "UTC", "ctrl-]"]),
            ("Sessions", &["FROM", "203.0.113.9", "1m 15s", "this one"]),
        ] {
            part(&mut model, title);
            let all = screen(&mut model);
            for word in words {
                assert!(all.contains(word), "{title}: {word} at {cols}x{rows}:\n{all}");
            }
            assert!(cols == 40 || title != "Keys" || all.contains(&key(3, "").fingerprint), "{all}");
            assert!(!all.contains('…'), "something is cut at {cols}x{rows}:\n{all}");
        }
        if cols == 200 {
            // All are seen at once.
            let all = screen(&mut model);
            assert!(
                all.contains("laptop") && all.contains("Last login") && all.contains("this one"),
                "{all}"
            );
            // Of the rows that are selected, only the one in front looks so.
            let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
            terminal.draw(|frame| view::draw(frame, &mut model)).unwrap();
            let buffer = terminal.backend().buffer();
            let reversed = |y: &u16| {
                (1..cols).any(|x| {
                    buffer[(x, *y)].modifier.contains(Modifier::REVERSED) && buffer[(x, *y)].symbol() == "2"
                })
            };
            assert_eq!((3..rows).filter(reversed).count(), 1);
        }
    }
}

#[test]
fn a_key_is_pasted_refused_and_added() {
    let mut model = page(80, 24);
    let effects = press(&mut model, "\x1b[200~ssh-ed25519 nonsense\n\x1b[201~");
    assert!(effects.is_empty() && over(&model) == Some("add_key"));
    assert_eq!(press(&mut model, "\r"), ["Do(key.add {\"key\":\"unreadable\"})"]);
    assert!(press(&mut model, "\r").is_empty(), "asked twice");
    let refused = Error::new(Code::BadKey, "That is no public key.");
    update(&mut model, Msg::news("add_key", add_key::Answer(Err(refused))));
    let all = screen(&mut model);
    assert!(all.contains("That is no public key. Paste one line of a `.pub` file"), "{all}");
    press(&mut model, "\x15n");
    assert!(!screen(&mut model).contains("no public key"));
    press(&mut model, "\r");
    let effects =
        words(&update(&mut model, Msg::news("add_key", add_key::Answer(Ok(vec![key(9, "tablet")])))));
    assert_eq!((effects, over(&model)), (vec![String::from("Do(key.ls {})")], None));
    let three = vec![key(3, "laptop"), key(7, "phone"), key(9, "tablet")];
    tell(&mut model, listed::<keys::Keys>(three));
    let (lines, (_, y)) = seen(&mut model);
    assert!(lines[usize::from(y)].starts_with("tablet"), "{lines:#?}");
}

#[test]
fn a_key_is_removed_when_one_means_it() {
    let mut model = page(80, 24);
    press(&mut model, "jd");
    assert!(screen(&mut model).contains("Remove the key “phone”? (y/n)"));
    assert!(press(&mut model, "n").is_empty());
    assert_eq!(press(&mut model, "dy"), ["Do(key.rm {\"keys\":[\"7\"]})"]);
    tell(&mut model, acted::<keys::Keys>("The key SHA256:phone is removed."));
    tell(&mut model, listed::<keys::Keys>(vec![key(3, "laptop")]));
    press(&mut model, "d");
    assert!(screen(&mut model).contains("It is the last one."));
}

/// What the app is given, and what it comes to.
fn enrol(model: &mut Model, news: enrol::Heard) -> Vec<String> {
    words(&update(model, Msg::News("enrol", Box::new(news))))
}

#[test]
fn a_second_factor_is_set_up_by_a_picture_and_a_code() {
    for (cols, rows) in SIZES {
        let mut model = page(cols, rows);
        tell(&mut model, Box::new(factor::Heard::Stands(Ok(stands(false)))));
        part(&mut model, "Factor");
        // What is not there is not taken off.
        assert!(press(&mut model, "db").is_empty());
        assert_eq!(press(&mut model, "e"), ["Do(account.totp_enable {\"text\":false})"]);
        let secret = || Zeroizing::new(String::from("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
        let uri = Zeroizing::new(format!("otpauth://totp/Twarga:alice?secret={}&issuer=Twarga", *secret()));
        enrol(&mut model, enrol::Heard::Made(Ok(NewSecret { secret: secret(), uri })));
        let all = screen(&mut model);
        assert!(all.contains("GEZD GNBV"), "at {cols}x{rows}:\n{all}");
        assert_eq!(all.contains("▀"), cols >= 80, "at {cols}x{rows}:\n{all}");
        // The code is not in what is told of the effects.
        let asked = press(&mut model, "000000\r");
        assert_eq!(asked, ["Do(account.totp_confirm {})"]);
        let wrong = Error::new(Code::BadCode, "That code is not right.");
        enrol(&mut model, enrol::Heard::Confirmed(Err(wrong)));
        assert!(screen(&mut model).contains("That code is not right."));
        press(&mut model, "123456\r");
        let backup_codes = (0..10).map(|n| Zeroizing::new(format!("abcde-fghi{n}"))).collect();
        enrol(&mut model, enrol::Heard::Confirmed(Ok(BackupCodes { backup_codes })));
        let all = screen(&mut model);
        assert!(all.contains("abcde-fghi0") && (rows == 12 || all.contains("abcde-fghi9")), "{all}");
        assert!(press(&mut model, "y").iter().any(|e| e.contains("abcde-fghi9")));
        press(&mut model, "\r");
        assert!(over(&model).is_none());
        assert!(!screen(&mut model).contains("abcde"));
    }
}

#[test]
fn a_second_factor_is_taken_off_with_the_password() {
    let mut model = page(80, 24);
    part(&mut model, "Factor");
    press(&mut model, "dsecret words");
    assert!(!screen(&mut model).contains("secret words"));
    assert_eq!(press(&mut model, "\r"), ["Do(account.totp_disable {})"]);
    let wrong = Error::new(Code::BadPassword, "That is not right.");
    update(&mut model, Msg::news("prove", prove::Answer::Off(Err(wrong))));
    assert!(screen(&mut model).contains("That is not right."));
    press(&mut model, "other words\r");
    update(&mut model, Msg::news("prove", prove::Answer::Off(Ok(()))));
    assert!(over(&model).is_none() && screen(&mut model).contains("The second factor is off."));
}

#[test]
fn another_password_is_typed_unseen() {
    let mut model = page(80, 24);
    part(&mut model, "Password");
    // Before Enter, keys mean what they mean everywhere.
    press(&mut model, "\rq old one\rnew one here\rnew one their\r");
    let all = screen(&mut model);
    assert!(all.contains("Those two are not the same. Type the new one once more."), "{all}");
    assert!(!all.contains("new one here") && all.contains("••••"), "{all}");
    assert_eq!(press(&mut model, "new one here\r"), ["Do(account.passwd {})"]);
    let refused = Error::new(Code::BadPassword, "The old password is not right.");
    tell(&mut model, Box::new(password::Heard::Changed(Err(refused))));
    let (lines, (_, y)) = seen(&mut model);
    assert!(lines[usize::from(y)].starts_with("Password so far"), "{lines:#?}");
    assert!(lines.join("\n").contains("The old password is not right."));
    // Nothing that was typed is left to be sent again.
    assert!(!lines.join("\n").contains('•'), "{lines:#?}");
    press(&mut model, "\x1b");
    assert!(!screen(&mut model).contains("is not right"));
    press(&mut model, "\rold\rnew one here\rnew one here\r");
    tell(&mut model, Box::new(password::Heard::Changed(Ok(()))));
    assert!(screen(&mut model).contains("The password is changed."));
}

#[test]
fn who_has_no_password_is_not_asked_for_it() {
    let mut model = page(80, 24);
    tell(&mut model, Box::new(password::Heard::Me(Ok(Box::new(Account { has_password: false, ..me() })))));
    part(&mut model, "Password");
    press(&mut model, "\r");
    assert!(!screen(&mut model).contains("Password so far"));
    assert_eq!(press(&mut model, "new one here\rnew one here\r"), ["Do(account.passwd {})"]);
}

#[test]
fn a_wish_is_seen_at_once_and_kept_one_after_the_other() {
    let mut model = page(80, 24);
    part(&mut model, "Preferences");
    let asked = press(&mut model, "\x1b[C");
    assert_eq!(asked, ["Redraw", "Do(account.set {\"key\":\"theme\",\"value\":\"dark\"})"]);
    assert_eq!(model.shared.preferences.theme, Palette::Dark);
    // What is wanted while the answer is awaited is asked for after it, the last of it only.
    assert_eq!(press(&mut model, "\x1b[C\x1b[C"), ["Redraw", "Redraw"]);
    assert_eq!(model.shared.preferences.theme, Palette::Contrast);
    let kept = |theme: &str| {
        let mut kept = Preferences::default();
        kept.set(Setting::Theme, theme).unwrap();
        kept
    };
    let answer = |prefs| Box::new(preferences::Answer(Setting::Theme, prefs));
    let next = tell(&mut model, answer(Ok(kept("dark"))));
    assert_eq!(next, ["Do(account.set {\"key\":\"theme\",\"value\":\"contrast\"})"]);
    assert_eq!(model.shared.preferences.theme, Palette::Contrast, "it does not flicker");
    tell(&mut model, answer(Ok(kept("contrast"))));
    assert_eq!(model.shared.preferences.theme, Palette::Contrast);
    // What cannot be kept is as it was.
    press(&mut model, "\x1b[D");
    assert_eq!(model.shared.preferences.theme, Palette::Light);
    tell(&mut model, answer(Err(Error::new(Code::DatabaseUnavailable, "The database is busy."))));
    assert_eq!(model.shared.preferences.theme, Palette::Contrast);
    assert!(screen(&mut model).contains("The database is busy."));
}

#[test]
fn a_zone_is_typed_and_refused_beside_its_field() {
    let mut model = page(80, 24);
    part(&mut model, "Preferences");
    press(&mut model, "jjjjj\r\x15Europe/Berln");
    assert!(screen(&mut model).contains("Europe/Berln"));
    assert_eq!(
        press(&mut model, "\r"),
        ["Do(account.set {\"key\":\"time_zone\",\"value\":\"Europe/Berln\"})"]
    );
    let refused = Error::usage("There is no time zone “Europe/Berln”.").hint("Did you mean `Europe/Berlin`?");
    tell(&mut model, Box::new(preferences::Answer(Setting::TimeZone, Err(refused))));
    let all = screen(&mut model);
    assert!(all.contains("Europe/Berln”. Did you mean `Europe/Berlin`?"), "{all}");
    press(&mut model, "\x7fin");
    assert!(!screen(&mut model).contains("Did you mean"));
    press(&mut model, "\r");
    let mut kept = Preferences::default();
    kept.set(Setting::TimeZone, "Europe/Berlin").unwrap();
    tell(&mut model, Box::new(preferences::Answer(Setting::TimeZone, Ok(kept))));
    assert!(screen(&mut model).contains("time zone   Europe/Berlin"));
    // The keys are commands again.
    assert!(press(&mut model, "?").is_empty() && over(&model) == Some("help"));
}

#[test]
fn a_session_is_ended_when_one_means_it() {
    let mut model = page(80, 24);
    part(&mut model, "Sessions");
    press(&mut model, "d");
    assert!(screen(&mut model).contains("End the connection that you are in? (y/n)"));
    press(&mut model, "njd");
    assert!(screen(&mut model).contains("End your connection from 203.0.113.9"));
    assert_eq!(press(&mut model, "y"), ["Do(session.kill {\"id\":\"77aa52c81b07\"})"]);
}

#[test]
fn parts_are_chosen_by_mouse_too() {
    let mut model = page(80, 24);
    let (lines, _) = seen(&mut model);
    let x = lines[2].find("Preferences").unwrap() + 2;
    press(&mut model, &format!("\x1b[<0;{x};3M\x1b[<0;{x};3m"));
    assert_eq!(model.crumbs(), ["Account", "Preferences"]);
    seen(&mut model);
    // A click selects, another changes.
    press(&mut model, "\x1b[<0;5;7M\x1b[<0;5;7m");
    let asked = press(&mut model, "\x1b[<0;5;7M\x1b[<0;5;7m");
    assert_eq!(asked, ["Redraw", "Do(account.set {\"key\":\"mouse\",\"value\":\"off\"})"]);
    // Where all are seen a click into one is enough.
    let mut model = page(200, 60);
    seen(&mut model);
    press(&mut model, "\x1b[<0;150;50M");
    assert_eq!(model.crumbs(), ["Account", "Sessions"]);
}

#[test]
fn nothing_in_a_key_or_a_session_reaches_the_terminal_raw() {
    for (cols, rows) in SIZES {
        let mut model = page(cols, rows);
        let mut evil = key(3, "\u{1b}[31m\u{202e}");
        evil.algorithm = "\u{9b}".into();
        tell(&mut model, listed::<keys::Keys>(vec![evil]));
        let mut from = session("3f9a52c81b07", "alice", false);
        from.source_ip = "\u{1b}[2J".into();
        tell(&mut model, Box::new(Heard { feed: 0, news: Ok(vec![from]) }));
        for _ in 0..4 {
            for keys in ["d", "\x1b"] {
                press(&mut model, keys);
                let text = seen(&mut model).0.concat();
                assert!(!text.chars().any(crate::model::text::is_unsafe), "{text:?}");
            }
            press(&mut model, "\t");
        }
    }
}
