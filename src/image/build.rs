//! Images made on this machine from Debian packages, by recipes in shell: the
//! language of the tools that do the work (mmdebstrap, cpio, mke2fs).

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::manifest::{FILES, Manifest, Recipe, sha256_hex};
use super::{Catalogue, invalid};
use crate::error::{Code, Error, Result};
use crate::model::{Time, text};

/// The images that can be built, and how.
pub const RECIPES: &[(&str, &str)] =
    &[("micro", include_str!("recipes/micro.sh")), ("debian-12", include_str!("recipes/debian-12.sh"))];

/// The end of a recipe's own words that is kept for an error.
const TAIL_BYTES: usize = 4096;

/// Builds an image and makes it the current one of its name; `progress` gets a
/// line for each step. VMs made from an earlier build keep that one.
///
/// # Errors
/// `image.not_found` for a name without a recipe; else what the recipe says.
pub async fn build(catalogue: &Catalogue, name: &str, progress: impl Fn(&str)) -> Result<String> {
    let Some((_, recipe)) = RECIPES.iter().find(|(n, _)| *n == name) else {
        let names: Vec<_> = RECIPES.iter().map(|(n, _)| *n).collect();
        return Err(Error::new(
            Code::ImageNotFound,
            format!("There is no recipe for an image called “{name}”."),
        )
        .hint(format!("There are: {}.", names.join(", "))));
    };
    let parent = catalogue.dir().join(name);
    std::fs::create_dir_all(&parent)?;
    let out = parent.join(format!(".build-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&out)?;
    let result = run(recipe, &out, progress).await;
    let installed = match result {
        Ok(()) => {
            let (catalogue, name, out) = (catalogue.clone(), name.to_owned(), out.clone());
            tokio::task::spawn_blocking(move || install(&catalogue, &name, &out)).await?
        }
        Err(e) => Err(e),
    };
    let _ = std::fs::remove_dir_all(&out);
    installed
}

/// Runs the recipe, which reads as a program so that no file of it lies about.
async fn run(recipe: &str, out: &Path, progress: impl Fn(&str)) -> Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", recipe, "recipe"])
        .arg(std::path::absolute(out)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::internal("a recipe without its output"));
    };
    let tail = tokio::spawn(async move {
        let mut tail = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
            tail.extend_from_slice(buffer.get(..n).unwrap_or_default());
            let excess = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..excess);
        }
        tail
    });
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(step) = line.strip_prefix("== ") {
            progress(&text::clean(step));
        }
    }
    let status = child.wait().await?;
    if status.success() {
        return Ok(());
    }
    let tail = String::from_utf8_lossy(&tail.await?).into_owned();
    let last = tail.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("the recipe ended without a word");
    tracing::error!(%tail, "an image recipe failed");
    Err(Error::new(
        Code::ImageInvalid,
        format!("The image could not be built: {}", text::short(last.trim(), 300)),
    )
    .hint(""))
}

/// Takes what a recipe left in `out` into the catalogue; returns the build's digest.
/// Also what a test makes an image with.
pub fn install(catalogue: &Catalogue, name: &str, out: &Path) -> Result<String> {
    let recipe = std::fs::read_to_string(out.join("recipe.toml"))?;
    let recipe: Recipe = toml::from_str(&recipe).map_err(|e| invalid(name, e.message()))?;
    let manifest = Manifest::of(recipe, out, Time::now().millis())?;
    let text = toml::to_string(&manifest).map_err(Error::internal)?;
    let digest = sha256_hex(text.as_bytes());
    let parent = catalogue.dir().join(name);
    let target = parent.join(&digest);
    std::fs::create_dir_all(&target)?;
    for file in FILES {
        std::fs::rename(out.join(file), target.join(file))?;
    }
    std::fs::write(target.join("manifest.toml"), text)?;
    for file in FILES.into_iter().chain(["manifest.toml"]) {
        let path = target.join(file);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        std::fs::set_permissions(&path, mode)?;
        std::fs::File::open(&path)?.sync_all()?;
    }
    // The last step, and atomic: until here the image is what it was before.
    let next = parent.join(".current");
    std::fs::write(&next, format!("{digest}\n"))?;
    std::fs::rename(next, parent.join("current"))?;
    Ok(digest)
}
