//! The head of a request: gathered up to its empty line, and checked (RFC 9112).
//!
//! Stricter than it must be where that costs nobody anything, because the
//! parser behind it is laxer than it should be.

use super::answer::Answer;

/// Longest head, its empty line included.
pub(super) const MAX_HEAD: usize = 8 * 1024;

/// What of a request matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// A token, such as `GET`.
    method: String,
    /// Path and query, or `*`: visible ASCII.
    target: String,
    /// Visible ASCII and spaces.
    authorization: Option<String>,
}

impl Head {
    /// The clean copy for tiny_http: whole, small, and the last of its connection.
    pub fn to_request(&self) -> String {
        let authorization = match &self.authorization {
            Some(value) => format!("Authorization: {value}\r\n"),
            None => String::new(),
        };
        let Head { method, target, .. } = self;
        format!("{method} {target} HTTP/1.1\r\nHost: twarga\r\nConnection: close\r\n{authorization}\r\n")
    }
}

/// How far a head has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come.
    More,
    /// It is all there.
    Done(Head),
    /// It will never be one.
    Refused(Answer),
}

/// Gathers a head as its bytes come in.
#[derive(Debug, Default)]
pub(super) struct Reader {
    bytes: Vec<u8>,
    /// No end of the head lies before here.
    searched: usize,
    /// The request line has come and was looked at.
    line_seen: bool,
}

impl Reader {
    /// True before the first byte that says anything.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what came. Not more than [`MAX_HEAD`] bytes are ever kept.
    pub fn push(&mut self, mut came: &[u8]) -> Progress {
        if self.bytes.is_empty() {
            // Empty lines before a request mean nothing (RFC 9112 §2.2).
            let blank = came.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            came = came.get(blank..).unwrap_or_default();
        }
        let room = MAX_HEAD - self.bytes.len();
        let overflows = came.len() > room;
        self.bytes.extend_from_slice(came.get(..room).unwrap_or(came));
        let full = overflows || self.bytes.len() == MAX_HEAD;
        let progress = self.advance();
        if full && progress == Progress::More { Progress::Refused(self.too_long()) } else { progress }
    }

    fn advance(&mut self) -> Progress {
        if !self.line_seen
            && let Some(line) = self.bytes.split_inclusive(|b| *b == b'\n').next()
            && line.ends_with(b"\n")
        {
            self.line_seen = true;
            // Looked at as soon as it is there: who does not speak HTTP need not wait for the deadline.
            if let Err(refusal) = request_line(line) {
                return Progress::Refused(refusal);
            }
        }
        let Some(length) = self.end() else { return Progress::More };
        match parse(self.bytes.get(..length).unwrap_or_default()) {
            Ok(head) => Progress::Done(head),
            Err(refusal) => Progress::Refused(refusal),
        }
    }

    /// Length of the head, once its empty line is there.
    fn end(&mut self) -> Option<usize> {
        let from = self.searched;
        // What may be the beginning of an end must be seen again.
        self.searched = self.bytes.len().saturating_sub(2).max(from);
        let rest = self.bytes.get(from..)?;
        let is_end =
            |at: usize| matches!(rest.get(at..), Some([b'\n', b'\n', ..] | [b'\n', b'\r', b'\n', ..]));
        let at = (0..rest.len()).find(|at| is_end(*at))?;
        Some(from + at + 1)
    }

    fn too_long(&self) -> Answer {
        if self.line_seen {
            Answer::sentence(431, "The head of the request is longer than 8 KiB.")
        } else {
            Answer::sentence(414, "The address is longer than 8 KiB.")
        }
    }
}

fn bad(sentence: &str) -> Answer {
    Answer::sentence(400, sentence)
}

/// From all lines but the empty one.
fn parse(head: &[u8]) -> Result<Head, Answer> {
    let mut lines = head.split(|b| *b == b'\n');
    let (method, target, needs_host) = request_line(lines.next().unwrap_or_default())?;
    let (mut hosts, mut authorization) = (0, None);
    for line in lines.map(without_cr).filter(|line| !line.is_empty()) {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case(b"authorization")
            && authorization.replace(visible(value)?).is_some()
        {
            return Err(bad("There is more than one `Authorization`."));
        }
    }
    // RFC 9112 §3.2.
    if hosts > 1 || (needs_host && hosts == 0) {
        return Err(bad("An HTTP/1.1 request names its `Host`, once."));
    }
    Ok(Head { method, target, authorization })
}

/// Method and target, and whether a `Host` must follow.
fn request_line(line: &[u8]) -> Result<(String, String, bool), Answer> {
    let not_http = || bad("This is not an HTTP request.");
    let line = visible(without_cr(line)).map_err(|_| not_http())?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(not_http());
    };
    if method.is_empty() || !method.bytes().all(is_token) || method.len() > 32 {
        return Err(not_http());
    }
    let needs_host = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        v if v.starts_with("HTTP/") => return Err(Answer::sentence(505, "Speak HTTP/1.1 or HTTP/1.0.")),
        _ => return Err(not_http()),
    };
    Ok((method.to_owned(), origin_form(method, target)?, needs_host))
}

/// The path and query of any form of target (RFC 9112 §3.2).
fn origin_form(method: &str, target: &str) -> Result<String, Answer> {
    // `OPTIONS *` and `CONNECT host:port` will be told that they are not allowed.
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(target.to_owned());
    }
    if method == "CONNECT" {
        return Ok(String::from("*"));
    }
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|s| target.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)));
    let rest = scheme.and_then(|s| target.get(s.len()..)).ok_or_else(|| bad("The address is not one."))?;
    match rest.find(['/', '?']) {
        Some(at) if rest.get(at..).is_some_and(|p| p.starts_with('/')) => {
            Ok(rest.get(at..).unwrap_or("/").to_owned())
        }
        Some(at) => Ok(format!("/{}", rest.get(at..).unwrap_or_default())),
        None => Ok(String::from("/")),
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Answer> {
    let malformed = || bad("A header is malformed.");
    let colon = line.iter().position(|b| *b == b':').ok_or_else(malformed)?;
    let (name, value) = line.split_at_checked(colon).ok_or_else(malformed)?;
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    // No folded lines, no space before the colon, no control characters (§5.1, §5.2; RFC 9110 §5.5).
    let is_control = |b: &u8| (*b < b' ' && *b != b'\t') || *b == 0x7f;
    if name.is_empty() || !name.iter().copied().all(is_token) || value.iter().any(is_control) {
        return Err(malformed());
    }
    Ok((name, value))
}

/// The text, if it is nothing but visible ASCII and spaces.
fn visible(bytes: &[u8]) -> Result<String, Answer> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|b| matches!(b, b' '..=b'~')) => Ok(text.to_owned()),
        _ => Err(bad("A header is malformed.")),
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
