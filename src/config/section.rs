//! Reading a TOML table key by key, so that every mistake is found and has its line.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;

/// The line of an offset, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// A table of the file: reading a key makes it known; the rest are mistakes.
pub(super) struct Section<'a> {
    pub(super) path: String,
    pub(super) text: &'a str,
    pub(super) table: &'a DeTable<'a>,
    pub(super) known: Vec<&'static str>,
    pub(super) mistakes: Vec<Mistake>,
}

impl<'a> Section<'a> {
    pub(super) fn with(&mut self, key: &'static str, read: impl FnOnce(&DeValue<'a>) -> Result<(), String>) {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return };
        if let Err(why) = read(value.get_ref()) {
            let message = format!("`{}{key}`: {why}.", self.path);
            self.mistakes.push(Mistake::at(line_of(self.text, value.span().start), &message));
        }
    }

    /// A mistake that more than one value has a part in, at the first of the keys that is there.
    pub(super) fn mistake(&mut self, keys: &[&str], why: &str) {
        if let Some((key, value)) = keys.iter().find_map(|k| Some((k, self.table.get(*k)?))) {
            let message = format!("`{}{key}`: {why}.", self.path);
            self.mistakes.push(Mistake::at(line_of(self.text, value.span().start), &message));
        }
    }

    pub(super) fn require(&mut self, key: &str) {
        if self.table.get(key).is_none() {
            let line = self.table.values().next().map_or(1, |v| line_of(self.text, v.span().start));
            self.mistakes.push(Mistake::at(line, &format!("`{}{key}` is missing.", self.path)));
        }
    }

    pub(super) fn text(&mut self, key: &'static str, to: &mut String) {
        self.with(key, |v| string(v).map(|s| *to = s));
    }

    /// A few words on one line.
    pub(super) fn title(&mut self, key: &'static str, longest: usize, to: &mut String) {
        self.with(key, |v| match string(v)? {
            s if s.trim().is_empty() => Err("a name is not empty".into()),
            s if s.chars().count() > longest => Err(format!("a name has at most {longest} characters")),
            s if s.chars().any(crate::model::text::is_unsafe) => {
                Err("a name has no control characters".into())
            }
            s => {
                *to = s;
                Ok(())
            }
        });
    }

    /// Lines for people's terminals.
    pub(super) fn words(&mut self, key: &'static str, longest: usize, to: &mut String) {
        self.with(key, |v| match string(v)? {
            s if s.len() > longest => Err(format!("it has at most {longest} bytes")),
            s if s.chars().any(|c| c != '\n' && crate::model::text::is_unsafe(c)) => {
                Err("it has no control characters but ends of lines".into())
            }
            s => {
                *to = s;
                Ok(())
            }
        });
    }

    /// A list of words; each that is wrong is a mistake of its own.
    pub(super) fn strings(&mut self, key: &'static str, mut take: impl FnMut(&str) -> Result<(), String>) {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return };
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("`{}{key}`: {}.", self.path, expected("a list", value.get_ref()));
            return self.mistakes.push(Mistake::at(line_of(self.text, value.span().start), &message));
        };
        for item in items {
            if let Err(why) = string(item.get_ref()).and_then(|word| take(&word)) {
                let message = format!("`{}{key}`: {}.", self.path, why.trim_end_matches('.'));
                self.mistakes.push(Mistake::at(line_of(self.text, item.span().start), &message));
            }
        }
    }

    pub(super) fn path_value(&mut self, key: &'static str, to: &mut PathBuf) {
        self.with(key, |v| match string(v)? {
            s if s.is_empty() => Err("a path is not empty".into()),
            s => {
                *to = PathBuf::from(s);
                Ok(())
            }
        });
    }

    pub(super) fn boolean(&mut self, key: &'static str, to: &mut bool) {
        self.with(key, |v| v.as_bool().map(|b| *to = b).ok_or_else(|| expected("true or false", v)));
    }

    pub(super) fn address(&mut self, key: &'static str, to: &mut SocketAddr) {
        self.with(key, |v| {
            *to = string(v)?
                .parse()
                .map_err(|_| "expected an address and a port, such as \"0.0.0.0:2222\"".to_owned())?;
            Ok(())
        });
    }

    pub(super) fn choice(&mut self, key: &'static str, of: &[&str], to: &mut String) {
        self.with(key, |v| match string(v)? {
            s if of.contains(&s.as_str()) => {
                *to = s;
                Ok(())
            }
            s => Err(format!("“{s}” is none of {}", of.join(", "))),
        });
    }

    pub(super) fn integer<T: TryFrom<i64>>(&mut self, key: &'static str, least: i64, most: i64, to: &mut T) {
        self.with(key, |v| {
            let n = v.as_integer().ok_or_else(|| expected("a whole number", v))?;
            let n = i64::from_str_radix(n.as_str(), n.radix())
                .map_err(|_| String::from("the number is too large"))?;
            if n < least || n > most {
                return Err(format!("{n} is not between {least} and {most}"));
            }
            *to = T::try_from(n).map_err(|_| String::from("the number is too large"))?;
            Ok(())
        });
    }

    pub(super) fn number(&mut self, key: &'static str, least: f64, most: f64, to: &mut f64) {
        self.with(key, |v| {
            let text = match v {
                DeValue::Float(n) => n.as_str().to_owned(),
                DeValue::Integer(n) => i128::from_str_radix(n.as_str(), n.radix())
                    .map_err(|_| String::from("the number is too large"))?
                    .to_string(),
                other => return Err(expected("a number", other)),
            };
            let n: f64 = text.parse().map_err(|_| expected("a number", v))?;
            if !(least..=most).contains(&n) {
                return Err(format!("{n} is not between {least} and {most}"));
            }
            *to = n;
            Ok(())
        });
    }

    pub(super) fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>)) {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return };
        self.enter(key, value, read);
    }

    pub(super) fn sections(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'a>)) {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().for_each(|item| self.enter(key, item, &mut read)),
            other => {
                let message =
                    format!("`{key}`: {}.", expected(&format!("tables, each headed [[{key}]]"), other));
                self.mistakes.push(Mistake::at(line_of(self.text, value.span().start), &message));
            }
        }
    }

    pub(super) fn enter(
        &mut self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        read: impl FnOnce(&mut Section<'a>),
    ) {
        let path = format!("{}{key}.", self.path);
        match value.get_ref() {
            DeValue::Table(table) => {
                let mut inner = Section { path, text: self.text, table, known: vec![], mistakes: vec![] };
                read(&mut inner);
                self.mistakes.extend(inner.finish());
            }
            other => {
                let message = format!("`{}{key}`: {}.", self.path, expected("a table", other));
                self.mistakes.push(Mistake::at(line_of(self.text, value.span().start), &message));
            }
        }
    }

    /// The mistakes, with a key that nobody read counted as one.
    pub(super) fn finish(mut self) -> Vec<Mistake> {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let nearest = self.known.iter().min_by_key(|k| strsim::damerau_levenshtein(k, name));
            let hint = match nearest {
                Some(k) if strsim::damerau_levenshtein(k, name) <= 3 => format!(" Did you mean `{k}`?"),
                _ => String::new(),
            };
            let message = format!("There is no key `{}{name}`.{hint}", self.path);
            self.mistakes.push(Mistake::at(line_of(self.text, key.span().start), &message));
        }
        self.mistakes
    }
}

pub(super) fn string(v: &DeValue<'_>) -> Result<String, String> {
    v.as_str().map(str::to_owned).ok_or_else(|| expected("text in quotes", v))
}

fn expected(what: &str, got: &DeValue<'_>) -> String {
    format!("expected {what}, not {}", got.type_str())
}
