use proptest::prelude::*;

use super::*;

fn push(bytes: &[u8]) -> Progress {
    Reader::default().push(bytes)
}

fn status(bytes: &[u8]) -> Option<u16> {
    match push(bytes) {
        Progress::Refused(answer) => Some(answer.status),
        Progress::More | Progress::Done(_) => None,
    }
}

fn target(bytes: &[u8]) -> String {
    match push(bytes) {
        Progress::Done(head) => head.target,
        other @ (Progress::More | Progress::Refused(_)) => panic!("{other:?}"),
    }
}

#[test]
fn only_what_matters_goes_on() {
    let head = b"\r\nGET /a?b HTTP/1.1\r\nhOST: x\r\nContent-Length: 18446744073709551615\r\n\
        Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nTE: chunked\r\nauthorization:  Bearer t \r\n\r\nbody";
    let Progress::Done(head) = push(head) else { panic!("not done") };
    assert_eq!(
        head.to_request(),
        "GET /a?b HTTP/1.1\r\nHost: twarga\r\nConnection: close\r\nAuthorization: Bearer t\r\n\r\n"
    );
}

#[test]
fn a_byte_at_a_time() {
    let head = b"\r\n\n\rGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut reader = Reader::default();
    let (last, rest) = head.split_last().unwrap();
    for byte in rest {
        assert_eq!(reader.push(&[*byte]), Progress::More);
    }
    assert!(matches!(reader.push(&[*last]), Progress::Done(_)));
}

#[test]
fn lines_may_end_plainly() {
    assert_eq!(target(b"GET /x HTTP/1.0\n\n"), "/x");
    assert_eq!(target(b"GET /x HTTP/1.1\nHost: x\r\n\n"), "/x");
}

#[test]
fn targets_of_every_form() {
    for (given, wanted) in [
        ("GET /livez", "/livez"),
        ("GET http://portal:9180/livez?x", "/livez?x"),
        ("GET HTTP://portal/livez", "/livez"),
        ("GET http://portal", "/"),
        ("GET http://portal?verbose", "/?verbose"),
        ("GET http://portal?a=/livez", "/?a=/livez"),
        ("OPTIONS *", "*"),
        ("CONNECT portal:22", "*"),
    ] {
        assert_eq!(target(format!("{given} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()), wanted, "{given}");
    }
    for bad in ["GET livez", "GET *", "GET ftp://x/", "GET portal:22"] {
        assert_eq!(status(format!("{bad} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()), Some(400), "{bad}");
    }
}

#[test]
fn junk_is_known_by_its_first_line() {
    for junk in
        ["GET /\r\n", "SSH-2.0-x\r\n", "\x16\x03\x01\n", "GET  / HTTP/1.1\n", "G\u{e9}T / HTTP/1.1\n", "/ \n"]
    {
        assert_eq!(status(junk.as_bytes()), Some(400), "{junk}");
    }
    assert_eq!(status(b"PRI * HTTP/2.0\r\n"), Some(505));
    assert_eq!(status(b"GET / HTTP/2.0\r\n"), Some(505));
    assert_eq!(status(b"GET / HTTP/0.9\r\n"), Some(505));
}

#[test]
fn malformed_headers() {
    for line in [
        "no colon",
        ": empty",
        "A b: c",
        "A : c",
        " folded: x",
        "X: a\x00b",
        "X: a\x7fb",
        "Host: again",
        "Authorization: a\r\nAuthorization: b",
        "Authorization: \u{e9}",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
        assert_eq!(status(head.as_bytes()), Some(400), "{line}");
    }
    assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), Some(400));
    assert_eq!(status(b"GET / HTTP/1.0\r\n\r\n"), None);
}

#[test]
fn too_long() {
    let path = "x".repeat(MAX_HEAD);
    assert_eq!(status(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()), Some(414));
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: {path}\r\n\r\n").as_bytes()), Some(431));
    let fits = format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(MAX_HEAD - 18));
    assert_eq!(fits.len(), MAX_HEAD);
    assert_eq!(status(fits.as_bytes()), None);
}

proptest! {
    /// However the bytes fall into packets, the outcome is the same and nothing panics.
    #[test]
    fn packets_mean_nothing(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), any::<u8>()], 0..60),
        cut in 0usize..90,
    ) {
        let mut whole = b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec();
        whole.extend(bytes);
        whole.extend(b"\r\n\r\n");
        let (a, b) = whole.split_at(cut.min(whole.len()));
        let mut reader = Reader::default();
        let outcome = match reader.push(a) {
            Progress::More => reader.push(b),
            early @ (Progress::Done(_) | Progress::Refused(_)) => early,
        };
        prop_assert_eq!(outcome, push(&whole));
    }
}
