use super::*;
use crate::model::{Check, Health};

fn snapshot(checks: Vec<Check>) -> Snapshot {
    let published = Published {
        at: Time::now(),
        started_at: Time::now().minus_seconds(90_061),
        version: "1.2.3",
        health: Health { checks },
        gauges: Gauges { cpu_percent: 12.0, cpus: 1, vms: [0, 3, 0, 1, 0], ..Gauges::default() },
        cpu_history: vec![1.0, 2.0],
        sample_s: 5,
        ..Published::default()
    };
    Snapshot::judge(Arc::new(published), Time::now())
}

fn check(name: &'static str, status: Status, needed: bool) -> Check {
    Check { name, status, message: format!("<b>&{name}\u{1b}[31m</b>"), needed }
}

#[test]
fn everything_from_outside_is_escaped() {
    let page = Page::new().unwrap();
    let html = page.answer(&snapshot(vec![check("ssh", Status::Healthy, true)])).body;
    assert!(html.contains("&lt;b&gt;&amp;ssh?[31m&lt;&#x2f;b&gt;"), "{html}");
    assert!(!html.contains("<b>") && !html.contains('\u{1b}'));
}

#[test]
fn it_tells_what_is_wrong() {
    let page = Page::new().unwrap();
    let fine = page.answer(&snapshot(vec![check("ssh", Status::Healthy, true)])).body;
    assert!(fine.contains("<h1>Everything works.</h1>"), "{fine}");
    let checks = vec![check("ssh", Status::Healthy, true), check("images", Status::Unhealthy, false)];
    let fair = page.answer(&snapshot(checks)).body;
    assert!(
        fair.contains("something missing: Images.</h1>") && fair.contains("<title>Twarga: degraded</title>")
    );
    let checks = vec![check("database", Status::Unhealthy, true), check("images", Status::Unhealthy, false)];
    let bad = page.answer(&snapshot(checks)).body;
    assert!(bad.contains("for want of: Database.</h1>"), "{bad}");
    assert!(bad.contains("1d 1h") && bad.contains("1 processor,") && bad.contains("4 in all"));
}

#[test]
fn before_the_first_measurement_there_is_a_page_too() {
    let first = Snapshot::judge(Arc::new(Published::default()), Time::now());
    let html = Page::new().unwrap().answer(&first).body;
    assert!(
        html.contains("The portal is starting.") && html.contains("not yet") && !html.contains("1970"),
        "{html}"
    );
}

#[test]
fn the_policy_names_the_style_sheet_of_the_page() {
    let page = Page::new().unwrap();
    let answer = page.answer(&snapshot(Vec::new()));
    let style = answer.body.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = base64(&Sha256::digest(style.as_bytes()));
    let policy = &answer.headers.iter().find(|(n, _)| *n == "Content-Security-Policy").unwrap().1;
    assert!(policy.contains(&format!("style-src 'sha256-{digest}'")), "{policy}");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    // What the policy forbids must not be on the page either.
    assert!(!answer.body.contains(" style=") && !answer.body.contains("<script"));
}

#[test]
fn a_snapshot_is_laid_out_once() {
    let page = Page::new().unwrap();
    let (first, second) = (snapshot(Vec::new()), snapshot(vec![check("ssh", Status::Healthy, true)]));
    assert_eq!(page.answer(&first), page.answer(&first));
    assert_ne!(page.answer(&first).body, page.answer(&second).body);
    // The same figures, grown old meanwhile.
    let old = Snapshot::judge(first.published.clone(), Time::from_millis(Time::now().millis() + 600_000));
    assert!(page.answer(&old).body.contains("Nothing has been measured since"));
}

#[test]
fn base64_as_in_the_standard() {
    let cases = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, coded) in cases {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
