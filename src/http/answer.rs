//! What is said back: a status, a type, a body and the headers that every answer carries.

use std::io::Cursor;

use tiny_http::{HTTPVersion, Header, Response, StatusCode};

/// For everything but the page, which also names its own style sheet.
const NOTHING_AT_ALL: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// On every answer. `Server` must be set, or tiny_http would name itself.
const ALWAYS: [(&str, &str); 6] = [
    ("Server", "twarga"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// Headers of this answer alone.
    pub headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// A sentence; the line's end is added.
    pub fn sentence(status: u16, text: &str) -> Answer {
        Answer::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    /// An answer of any type.
    pub fn new(status: u16, content_type: &'static str, body: String) -> Answer {
        Answer { status, content_type, body, headers: Vec::new() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// As tiny_http wants it.
    pub fn into_response(self) -> Response<Cursor<Vec<u8>>> {
        let own_policy = self.headers.iter().any(|(name, _)| *name == "Content-Security-Policy");
        let policy = (!own_policy).then_some(("Content-Security-Policy", NOTHING_AT_ALL));
        let headers = [("Content-Type", self.content_type)]
            .into_iter()
            .chain(ALWAYS)
            .chain(policy)
            .chain(self.headers.iter().map(|(name, value)| (*name, value.as_str())))
            .filter_map(|(name, value)| Header::from_bytes(name, value).ok())
            .collect();
        let length = self.body.len();
        let body = Cursor::new(self.body.into_bytes());
        // A known length lets even the simplest client know where the answer ends.
        Response::new(StatusCode(self.status), headers, body, Some(length), None)
            .with_chunked_threshold(usize::MAX)
    }

    /// The bytes of the answer to a request that never reached tiny_http's server.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut out = Vec::new();
        let printed = self.into_response().raw_print(&mut out, HTTPVersion(1, 1), &[], false, None);
        if let Err(e) = printed {
            tracing::error!(%e, "cannot print an HTTP answer");
        }
        out
    }
}

/// tiny_http does not let us say it ourselves, but every answer is its connection's last.
pub(super) fn say_close(response: &mut Vec<u8>) {
    if let Some(end) = response.windows(2).position(|pair| pair == b"\r\n") {
        response.splice(end..end, *b"\r\nConnection: close");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_and_names_nobody() {
        let mut bytes = Answer::sentence(404, "Nothing here.").with("X-Test", "é is dropped").into_bytes();
        say_close(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\nConnection: close\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nNothing here.\n"), "{text}");
        assert!(text.contains("Content-Length: 14\r\n"), "{text}");
        assert!(text.contains("Server: twarga\r\n") && !text.contains("tiny"), "{text}");
        assert!(!text.contains("X-Test"), "{text}");
    }
}
