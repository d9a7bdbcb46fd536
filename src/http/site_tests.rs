use crate::model::Check;

use super::*;
use crate::model::Gauges;

fn check(name: &'static str, status: Status, needed: bool) -> Check {
    Check { name, status, message: format!("About {name}.\n"), needed }
}

fn published(checks: Vec<Check>) -> Published {
    Published {
        at: Time::now(),
        started_at: Time::now(),
        version: "1.2.3",
        health: Health { checks },
        gauges: Gauges { cpu_percent: 12.345, active_sessions: 7, ..Gauges::default() },
        sample_s: 5,
        ..Published::default()
    }
}

fn site(token: Option<&str>, published: Published) -> Site {
    Site::new(token, watch::channel(Arc::new(published)).1).unwrap()
}

fn get(site: &Site, target: &str) -> Answer {
    site.answer("GET", target, None)
}

#[test]
fn readiness_is_a_matter_of_what_is_needed() {
    let degraded = vec![check("ssh", Status::Degraded, true), check("images", Status::Unhealthy, false)];
    let ready = site(None, published(degraded));
    assert_eq!((get(&ready, "/readyz").status, get(&ready, "/readyz").body.as_str()), (200, "ready\n"));
    assert_eq!(
        get(&ready, "/readyz?verbose").body,
        "[~] ssh: degraded: About ssh.?\n[-] images: unhealthy: About images.?\nready\n"
    );
    let down = site(None, published(vec![check("libvirt", Status::Unhealthy, true)]));
    assert_eq!(
        (get(&down, "/readyz").status, get(&down, "/readyz").body.as_str()),
        (503, "not ready: libvirt\n")
    );
    assert_eq!(get(&down, "/livez").status, 200);
}

#[test]
fn health_has_the_fields_of_the_contract() {
    let site = site(
        None,
        published(vec![check("ssh", Status::Healthy, true), check("kvm", Status::Unhealthy, false)]),
    );
    let answer = get(&site, "/healthz");
    let v: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &v["status"]), (200, &json!("degraded")));
    assert_eq!(v["services"], json!({"ssh": "healthy", "kvm": "unhealthy"}));
    assert_eq!(v["performance"], json!({"cpu_percent": 12.3, "memory_percent": 0.0, "active_sessions": 7}));
}

#[test]
fn impossible_figures_are_still_json() {
    let mut p = published(Vec::new());
    p.gauges.cpu_percent = f64::NAN;
    let v: Value = serde_json::from_str(&get(&site(None, p), "/healthz").body).unwrap();
    assert_eq!(v["performance"]["cpu_percent"], json!(0.0));
}

#[test]
fn nothing_measured_or_nothing_new_is_not_ready() {
    let unborn = site(None, Published::default());
    assert_eq!(get(&unborn, "/readyz").status, 503);
    assert_eq!(get(&unborn, "/livez").status, 200);
    let old = Published {
        at: Time::now().minus_seconds(60),
        ..published(vec![check("ssh", Status::Healthy, true)])
    };
    assert!(
        get(&site(None, old.clone()), "/readyz?verbose").body.contains("[-] monitor: unhealthy: Nothing has")
    );
    assert_eq!(get(&site(None, old.clone()), "/healthz").status, 503);
    let slow = Published { sample_s: 60, ..old };
    assert_eq!(get(&site(None, slow), "/readyz").status, 200);
}

#[test]
fn metrics_want_the_token() {
    let site = site(Some("s3cret token"), published(Vec::new()));
    let ask = |authorization| site.answer("GET", "/metrics", authorization);
    let refused = ask(None);
    assert_eq!(refused.status, 401);
    assert!(refused.headers.iter().any(|(n, v)| *n == "WWW-Authenticate" && v.starts_with("Bearer ")));
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cret",
        "Basic s3cret token",
        "Bearer s3cret tokenn",
        "s3cret token",
    ] {
        assert_eq!(ask(Some(wrong)).status, 401, "{wrong}");
    }
    assert_eq!(ask(Some("Bearer s3cret token")).status, 200);
    assert_eq!(ask(Some("bearer s3cret token")).status, 200);
    // Only the metrics: the rest is for anybody.
    assert_eq!(get(&site, "/healthz").status, 200);
}

#[test]
fn an_empty_token_locks() {
    let site = site(Some(""), published(Vec::new()));
    assert_eq!(site.answer("GET", "/metrics", Some("Bearer ")).status, 401);
}

#[test]
fn paths_are_what_they_decode_to() {
    let site = site(None, published(Vec::new()));
    for path in ["/livez", "/%6civez", "/%6Civez", "/livez?", "/livez?x=%zz"] {
        assert_eq!(get(&site, path).status, 200, "{path}");
    }
    let nowhere = [
        "",
        "*",
        "//",
        "//livez",
        "/livez/",
        "/LIVEZ",
        "/%2Flivez",
        "/livez%00",
        "/%",
        "/%4",
        "/%zz",
        "/%ff",
        "/../livez",
    ];
    for path in nowhere {
        assert_eq!(get(&site, path).status, 404, "{path}");
    }
    for path in ["/readyz?verbose", "/readyz?verbose=1", "/readyz?a=b&verbose"] {
        assert!(get(&site, path).body.ends_with("ready\n"), "{path}");
    }
}

#[test]
fn only_reading() {
    let site = site(None, published(Vec::new()));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"] {
        let answer = site.answer(method, "/", None);
        assert_eq!(
            (answer.status, &answer.headers),
            (405, &vec![("Allow", "GET, HEAD".to_owned())]),
            "{method}"
        );
    }
}
