//! Codes that change with time (RFC 6238), as every authenticator app shows them:
//! HMAC-SHA-1, six digits, thirty seconds.

use std::fmt::Write;

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::model::Time;

/// Seconds that a code is shown for.
const STEP_S: i64 = 30;
/// Steps that clocks may differ, either way.
const WINDOW: i64 = 1;
const DIGITS: usize = 6;
/// As long as the hash: RFC 4226 §4 asks for that.
const SECRET_LEN: usize = 20;

/// A secret that an app and the portal share.
pub(super) fn new_secret() -> Zeroizing<[u8; SECRET_LEN]> {
    Zeroizing::new(rand::random())
}

/// The secret as people type it into an app.
pub(super) fn spelled(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE32_NOPAD.encode(secret))
}

/// What the QR code holds: the secret, and how the app shall call it.
pub(super) fn uri(portal: &str, user: &str, secret: &[u8]) -> Zeroizing<String> {
    let portal = percent_encoded(portal);
    let secret = spelled(secret);
    Zeroizing::new(format!("otpauth://totp/{portal}:{user}?secret={}&issuer={portal}", secret.as_str()))
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The code of a step (RFC 4226 §5.3).
fn code(secret: &[u8], step: i64, digits: u32) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let mac = tag.as_ref();
    let at = usize::from(mac.last().copied().unwrap_or_default() & 0x0f);
    let word = mac.get(at..at + 4).and_then(|w| w.try_into().ok()).unwrap_or_default();
    (u32::from_be_bytes(word) & 0x7fff_ffff) % 10_u32.pow(digits)
}

/// Whether an answer looks like a code: six digits. `answer` has no blanks.
pub(super) fn looks_like_a_code(answer: &str) -> bool {
    answer.len() == DIGITS && answer.bytes().all(|b| b.is_ascii_digit())
}

/// The step whose code that is, near this moment. Looks at all of them, so that
/// the time it takes tells nothing.
pub(super) fn step_of(secret: &[u8], answer: &str, now: Time) -> Option<i64> {
    if !looks_like_a_code(answer) {
        return None;
    }
    let said: u32 = answer.parse().ok()?;
    let present = now.millis().div_euclid(1000).div_euclid(STEP_S);
    (present - WINDOW..=present + WINDOW).fold(None, |found, step| {
        let is_it = std::hint::black_box(code(secret, step, 6) ^ said) == 0;
        if is_it { Some(step) } else { found }
    })
}

/// The code of that moment, for tests.
#[cfg(test)]
pub(super) fn code_at(secret: &[u8], now: Time) -> String {
    format!("{:06}", code(secret, now.millis() / 1000 / STEP_S, 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    /// RFC 6238, appendix B.
    #[test]
    fn the_vectors_of_the_rfc() {
        for (seconds, expected) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(code(SECRET, seconds / STEP_S, 8), expected, "at {seconds}");
        }
        // RFC 4226, appendix D.
        let six: Vec<_> = (0..10).map(|step| code(SECRET, step, 6)).collect();
        let expected =
            [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
        assert_eq!(six, expected);
    }

    #[test]
    fn one_step_either_side_and_no_further() {
        let now = Time::from_millis(1_234_567_890_000);
        let step = 1_234_567_890 / STEP_S;
        for (away, found) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let said = format!("{:06}", code(SECRET, step + away, 6));
            assert_eq!(step_of(SECRET, &said, now), found.then_some(step + away), "{away}");
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        let now = Time::from_millis(59_000);
        assert_eq!(code_at(SECRET, now), "287082");
        for no in ["", "28708", "2870820", "28708a", "+87082", "２８７０８２", &"1".repeat(10_000)] {
            assert_eq!(step_of(SECRET, no, now), None, "{no:.20}");
        }
    }

    #[test]
    fn a_uri_as_apps_read_it() {
        let uri = uri("Ann's Cloud", "alice", SECRET);
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(
            *uri,
            format!("otpauth://totp/Ann%27s%20Cloud:alice?secret={secret}&issuer=Ann%27s%20Cloud")
        );
        assert_eq!(spelled(&*new_secret()).len(), 32);
    }
}
