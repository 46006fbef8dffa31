//! A model's files from the hub over https, one request a file, each bounded in time and size.

use std::path::Path;

use super::Settings;
use super::fetch::store_file;
use super::registry::{Known, PinnedFile};

/// Hops from the hub to the store that has the bytes.
const REDIRECTS_MAX: u32 = 5;

/// Downloads every file of the model into `folder`.
pub(super) fn fetch(settings: &Settings, known: &Known, folder: &Path) -> Result<(), String> {
    let limits = settings.limits;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .max_redirects(REDIRECTS_MAX)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.response))
        .timeout_per_read(Some(limits.response))
        .timeout_global(Some(limits.file))
        .build()
        .new_agent();
    // Small files first: whoever lacks them is no such model, and 90 MB need not flow to find that out.
    known.files.iter().try_for_each(|file| fetch_file(&agent, settings, known, file, folder))
}

fn fetch_file(
    agent: &ureq::Agent,
    settings: &Settings,
    known: &Known,
    file: &PinnedFile,
    folder: &Path,
) -> Result<(), String> {
    let url = format!("{}/{}/resolve/main/{}", settings.endpoint, known.hub, file.path);
    let mut response = agent.get(&url).call().map_err(|error| format!("{}: {error}", shown(&url)))?;
    store_file(file, response.body_mut().as_reader(), folder)
}

/// An address without the user and the password that it may have: errors are shown and kept.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://me:p@ss@hub.example:8443/a@b"), "https://hub.example:8443/a@b");
        assert_eq!(shown("https://hub.example/a"), "https://hub.example/a");
        assert_eq!(shown("no address"), "no address");
    }
}
