//! Keys and what they do: each page and each overlay lists its own, once. What a
//! key does, the footer and the help are read from the same list.

use crate::term::keys::Key;

/// A key, or several, for a command.
#[derive(Debug)]
pub struct Binding<C: 'static> {
    /// The keys.
    pub keys: &'static [Key],
    /// How they are written for people.
    pub shown: &'static str,
    /// What they do, in a word for the footer; empty for what is told in the help only.
    pub word: &'static str,
    /// What they do, in a sentence for the help.
    pub help: &'static str,
    /// What they do.
    pub command: C,
}

/// A key, or several, for a command, in one line of a list.
pub const fn key<C>(
    keys: &'static [Key],
    shown: &'static str,
    word: &'static str,
    help: &'static str,
    command: C,
) -> Binding<C> {
    Binding { keys, shown, word, help, command }
}

/// A key and its word, for the footer.
pub type Hint = (&'static str, &'static str);

/// The command of a key. Of several, the first that applies now; if none does,
/// the first, so that whoever carries it out can say why it cannot be.
pub fn find<C: Copy>(bindings: &[Binding<C>], key: &Key, applies: impl Fn(C) -> bool) -> Option<C> {
    let mut of_key = bindings.iter().filter(|b| b.keys.contains(key)).map(|b| b.command);
    let first = of_key.next()?;
    if applies(first) { Some(first) } else { of_key.find(|c| applies(*c)).or(Some(first)) }
}

/// What the footer says of the keys that apply now.
pub fn hints<C: Copy>(bindings: &[Binding<C>], applies: impl Fn(C) -> bool) -> Vec<Hint> {
    let told = bindings.iter().filter(|b| !b.word.is_empty() && applies(b.command));
    told.map(|b| (b.shown, b.word)).collect()
}

/// What the help says of all of them.
pub fn help<C>(bindings: &[Binding<C>]) -> Vec<Hint> {
    bindings.iter().filter(|b| !b.help.is_empty()).map(|b| (b.shown, b.help)).collect()
}
