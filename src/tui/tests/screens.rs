use super::*;
use crate::error::{Code, Error};
use ratatui::style::Color;

const SIZES: [(u16, u16); 3] = [(40, 12), (80, 24), (200, 50)];

#[test]
fn small_40x12() {
    let mut model = with_vms(40, 12);
    let (lines, cursor) = seen(&mut model);
    assert_eq!(
        lines,
        [
            "Twarga  alice (user)  VMs    5 VMs, 1 up",
            "STATE     NAME              CPU   MEMORY",
            "● running web1              42% 231/512M",
            "○ stopped db                  –     512M",
            "‖ paused  a-very-long-nam…   0% 0.2/4.0G",
            "… pending lab                 –     512M",
            "! error   broken              –     512M",
            "",
            "",
            "",
            "",
            "Enter ssh  n new  S stop  ? help  q quit",
        ]
    );
    assert_eq!(cursor, (0, 2));
    let error = Error::new(Code::VmBusy, "“web1” is being changed by another job.");
    update(&mut model, Msg::Failed(error));
    let (lines, _) = seen(&mut model);
    assert_eq!(
        lines[7..],
        [
            "",
            "! “web1” is being changed by another",
            "job. `job ls` shows what it is doing;",
            "`job watch ID` waits for it.",
            "Enter ssh  n new  S stop  ? help  q quit",
        ]
    );
}

#[test]
fn usual_80x24() {
    let mut model = with_vms(80, 24);
    let db = model.shared.vms.rows()[1].vm.clone();
    update(&mut model, Msg::Begun(vec![job(7, "vm.start", &db, JobState::Running, 45)]));
    press(&mut model, "j");
    let (lines, cursor) = seen(&mut model);
    assert_eq!(lines[0], "Twarga  alice (user)  VMs                                5 VMs  1 running  1 job");
    assert!(lines[1].contains(" VMs "), "{}", lines[1]);
    assert_eq!(
        lines[2..8],
        [
            "STATE     NAME             IMAGE     PLAN    CPU   MEMORY  UPTIME SSH",
            "● running web1             micro     small   42% 231/512M   1d 2h root@10.0.2.11",
            "… 45%     db               debian-12 small     –     512M       – debian",
            "‖ paused  a-very-long-nam… micro     small    0% 0.2/4.0G   1d 2h root@10.0.2.13",
            "… pending lab              debian-12 small     –     512M       – debian",
            "! error   broken           micro     small     –     512M       – root",
        ]
    );
    assert_eq!(cursor, (0, 4));
    assert_eq!(lines[21], "vm.start db ██████████████░░░░░░░░░░░░░░░░  45% waiting for SSH");
    // What cannot be done to a VM that is being changed is not offered.
    assert_eq!(lines[22], "n new  y copy  / filter  : command  ? help  q quit");
}

#[test]
fn large_200x50() {
    let mut model = with_vms(200, 50);
    update(&mut model, Msg::Vms { all: false, list: vec![(some_vms().remove(0).0, sample(50.0))] });
    let (lines, cursor) = seen(&mut model);
    assert!(lines[0].ends_with("1 VM  ● 1 running"));
    let side: Vec<&str> = lines[2..17].iter().map(|l| l.split_once('│').unwrap().1).collect();
    assert_eq!(
        side,
        [
            " web1",
            " State    ● running, up 1d 2h",
            " CPU      ██████████░░░░░░░░░░ 50% ▄▄",
            " Memory   █████████░░░░░░░░░░░ 231 MiB of 512 MiB on the host",
            " Disk     ██░░░░░░░░░░░░░░░░░░ 1 GiB of 10 GiB on the host",
            "          1.5 KiB/s read, 0 B/s written",
            " IP       10.0.2.11",
            " Enter    ssh alice+web1@PORTAL",
            "          ssh -J alice@PORTAL root@web1",
            " Plan     small: 1 CPU, 512 MiB, 10 GB disk, 1.5 credits an hour",
            " Image    micro",
            " Owner    alice",
            " Made     2026-07-14 03:33:20 UTC",
            " Runs on  local (mock)",
            "",
        ]
    );
    assert!(lines[17].ends_with("CPU, the last 2 samples, highest 50%"), "{}", lines[17]);
    assert!(lines[29].ends_with("Memory, the last 2 samples, highest 45%"), "{}", lines[29]);
    assert_eq!(cursor, (0, 3));
}

#[test]
fn a_vm_in_detail_is_whole_at_80x24() {
    let mut model = with_vms(80, 24);
    let mut list = some_vms();
    list[0].0.tags = vec!["lab".into(), "blue".into()];
    list[0].1 = sample(95.0);
    update(&mut model, Msg::Vms { all: false, list: list.clone() });
    let mut over = job(6, "vm.start", &list[0].0, JobState::Failed, 30);
    over.created_at = Time::from_millis(1_784_000_000_000);
    over.error =
        Some(JobError { code: "quota".into(), message: "No port is left.".into(), hint: String::new() });
    let running = job(7, "vm.restart", &list[0].0, JobState::Running, 45);
    update(&mut model, jobs_now(false, vec![running, over]));
    press(&mut model, "l");
    let (lines, cursor) = seen(&mut model);
    assert_eq!(
        lines[2..21],
        [
            "web1",
            "State    ● running, up 1d 2h",
            "Job      vm.restart 45% waiting for SSH",
            "         ██████████████████░░░░░░░░░░░░░░░░░░░░░░",
            "CPU      ███████████████████░ 95% ▄█",
            "Memory   █████████░░░░░░░░░░░ 231 MiB of 512 MiB on the host",
            "Disk     ██░░░░░░░░░░░░░░░░░░ 1 GiB of 10 GiB on the host",
            "         1.5 KiB/s read, 0 B/s written",
            "IP       10.0.2.11",
            "Enter    ssh alice+web1@PORTAL",
            "         ssh -J alice@PORTAL root@web1",
            "Plan     small: 1 CPU, 512 MiB, 10 GB disk, 1.5 credits an hour",
            "Image    micro",
            "Owner    alice",
            "Made     2026-07-14 03:33:20 UTC",
            "Runs on  local (mock)",
            "Tags     lab, blue",
            "",
            "",
        ]
    );
    assert_eq!(cursor, (0, 2));
    assert!(
        lines[22].contains("Enter ssh") && lines[22].contains("y copy") && lines[22].contains("Esc back")
    );
    // Where there is more room there are its latest jobs too.
    model.shared.size = WindowSize { cols: 200, rows: 60 };
    let text = seen(&mut model).0.join("\n");
    assert!(
        text.contains("Latest jobs")
            && text.contains("! 2026-07-14 03:33:20 vm.start failed: No port is left.")
    );
}

#[test]
fn where_there_is_no_room_beside_the_detail_fills_the_page() {
    let mut model = with_vms(40, 12);
    press(&mut model, "Gl");
    let (lines, cursor) = seen(&mut model);
    assert_eq!(lines[1..4], ["broken", "State    ! error", "Fault    Its disk ?[31mis full."]);
    assert_eq!(cursor, (0, 1));
    press(&mut model, "h");
    assert!(seen(&mut model).0[1].starts_with("STATE"));
}

#[test]
fn an_empty_page_says_what_to_press() {
    for (cols, rows) in SIZES {
        let mut model = model(RoleName::USER, cols, rows);
        assert!(seen(&mut model).0.join("\n").contains("Looking for VMs…"));
        update(&mut model, Msg::Vms { all: false, list: vec![] });
        let text = seen(&mut model).0.join("\n");
        assert!(text.contains("No VMs yet.") && text.contains("Press n to make one."));
        assert!(text.contains("n new") && text.contains("? help  q quit"));
    }
    let mut model = with_vms(80, 24);
    press(&mut model, "/zzz\r");
    let text = seen(&mut model).0.join("\n");
    assert!(text.contains("Nothing here holds “zzz”.") && text.contains("Esc shows all."));
    update(&mut model, Msg::Lost(Error::new(Code::DatabaseUnavailable, "The database is busy.")));
    assert!(seen(&mut model).0.join("\n").contains("The database is busy."));
}

#[test]
fn many_rows_scroll_with_the_selection() {
    let mut model = model(RoleName::USER, 80, 24);
    let list: Vec<_> =
        (0..100).map(|i| (vm(i, &format!("vm{i:02}"), "alice", VmState::Stopped), None)).collect();
    update(&mut model, Msg::Vms { all: false, list });
    for keys in ["", "G", "g", "\x1b[6~\x1b[6~", "k"] {
        press(&mut model, keys);
        let (lines, (_, y)) = seen(&mut model);
        assert!(lines[usize::from(y)].contains("○ stopped vm"), "{keys:?}");
        assert!(lines[21].ends_with("of 100"), "{}", lines[21]);
    }
}

#[test]
fn questions_and_forms_fit_everywhere() {
    for (cols, rows) in SIZES {
        let mut model = with_vms(cols, rows);
        press(&mut model, "S");
        assert!(seen(&mut model).0.join("\n").contains("Shut web1 down? (y/n)"));
        press(&mut model, "nd");
        press(&mut model, "web\r");
        let (lines, (x, y)) = seen(&mut model);
        assert!(lines.join("\n").contains("That is not “web1”."));
        assert_eq!(lines[usize::from(y)].chars().take(usize::from(x)).last(), Some('b'));
    }
}

#[test]
fn the_help_lists_every_key_of_the_footer() {
    let mut model = with_vms(200, 50);
    let footer = model.hints();
    press(&mut model, "?");
    let text = seen(&mut model).0.join("\n");
    for (key, _) in footer {
        assert!(text.contains(&format!("│ {key} ")), "{key}");
    }
    // Where it does not fit, it scrolls to its end.
    model.shared.size = WindowSize { cols: 40, rows: 12 };
    assert!(seen(&mut model).0.join("\n").contains("more ↓"));
    press(&mut model, &"j".repeat(100));
    let text = seen(&mut model).0.join("\n");
    assert!(text.contains("draw the screen anew") && !text.contains("more ↓"));
}

#[test]
fn no_size_breaks_the_screen() {
    for cols in (1..24).chain([30, 40, 41, 59, 80, 109, 110, 119, 120, 1000]) {
        for rows in (1..14).chain([19, 20, 24, 30, 1000]) {
            if cols == 1000 && rows != 24 {
                continue;
            }
            let mut model = with_vms(cols, rows);
            model.say(crate::tui::app::Mood::Bad, "What went wrong. ".repeat(30), "");
            for keys in [
                "l", "?", "\x1b", "S", "n", "d", "\x1b", "n", "\x1b", "y", "\x1b", "/", "x", "\x1b", "1",
                "3", "\r",
            ] {
                press(&mut model, keys);
                let (_, (x, y)) = seen(&mut model);
                assert!(x < cols && y < rows, "{keys:?}: cursor at {x},{y} of {cols}x{rows}");
            }
        }
    }
}

#[test]
fn without_colour_there_is_none_and_states_still_differ() {
    let mut model = with_vms(80, 24);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| view::draw(frame, &mut model)).unwrap();
    let plain = |c: &ratatui::buffer::Cell| c.fg == Color::Reset && c.bg == Color::Reset;
    assert!(terminal.backend().buffer().content().iter().all(plain));
    let mut signs: Vec<_> = VmState::ALL.iter().map(|s| s.sign()).collect();
    signs.dedup();
    assert_eq!(signs.len(), VmState::ALL.len());
}

#[test]
fn nothing_from_a_vm_reaches_the_terminal_raw() {
    let mut model = model(RoleName::USER, 120, 40);
    let mut evil = vm(1, "web1", "alice", VmState::Error);
    for field in [&mut evil.image, &mut evil.plan, &mut evil.ssh_user] {
        *field = "\u{1b}[2J\u{202e}x".into();
    }
    evil.tags = vec!["\u{9b}31m".into()];
    evil.ip = Some("\u{7}".into());
    let mut made = job(1, "vm.new", &evil, JobState::Running, 5);
    made.step = "\u{1b}]0;x\u{7}".into();
    update(&mut model, Msg::Vms { all: false, list: vec![(evil, None)] });
    update(&mut model, Msg::Begun(vec![made]));
    update(&mut model, Msg::Failed(Error::new(Code::Internal, "\u{1b}[31mbad")));
    let text = seen(&mut model).0.concat();
    assert!(!text.chars().any(crate::model::text::is_unsafe), "{text:?}");
}

#[test]
fn every_page_says_the_same_in_every_theme_and_fits_every_size() {
    use crate::model::preferences::Palette;
    use crate::tui::theme::Theme;
    for (cols, rows) in [(40, 12), (80, 24), (120, 40), (200, 60)] {
        let mut model = model(RoleName::ADMIN, cols, rows);
        update(&mut model, Msg::Vms { all: false, list: some_vms() });
        update(&mut model, Msg::Begun(vec![job(7, "vm.start", &some_vms()[1].0, JobState::Running, 45)]));
        for page in ["1", "2", "3", "4", "5", "6"] {
            press(&mut model, page);
            model.shared.theme = Theme::with(Palette::Mono, Depth::None);
            let (plain, cursor) = seen(&mut model);
            assert!(plain.iter().any(|line| line.contains("q quit")), "{plain:#?}");
            assert!(!plain.concat().chars().any(crate::model::text::is_unsafe));
            for palette in Palette::ALL {
                for depth in [Depth::None, Depth::Sixteen, Depth::Indexed, Depth::True] {
                    model.shared.theme = Theme::with(*palette, depth);
                    // What is told is in the words and signs; colours only help.
                    assert_eq!(
                        seen(&mut model),
                        (plain.clone(), cursor),
                        "{palette} {depth:?} {cols}x{rows}"
                    );
                }
            }
        }
    }
}
