//! Finding and fetching models, against real servers on the loopback interface and real child processes that behave
//! badly in each way that a network or a pip can. Nothing here leaves this machine.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use quipu_embed::{EmbedError, model};

/// How the server treats each connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers every request with these bytes.
    Sends(&'static [u8]),
    /// Answers 404.
    Refuses,
    /// Promises more than it sends.
    Truncates,
    /// Takes the request and says nothing.
    Silent,
    /// Sends a byte now and then, for ever.
    Trickles,
    /// Redirects to itself.
    Circles,
}

/// A server on a free port; its threads end with the test's process.
fn serve(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let endpoint = address.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let address = address.clone();
            std::thread::spawn(move || answer(stream, manner, &address));
        }
    });
    endpoint
}

fn answer(mut stream: TcpStream, manner: Manner, address: &str) -> std::io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n")
    };
    match manner {
        Manner::Sends(bytes) => {
            stream.write_all(format!("{}\r\n", head("200 OK", bytes.len())).as_bytes())?;
            stream.write_all(bytes)
        }
        Manner::Refuses => stream.write_all(format!("{}\r\n", head("404 Not Found", 0)).as_bytes()),
        Manner::Truncates => stream.write_all(format!("{}\r\n{{\"half\":", head("200 OK", 612)).as_bytes()),
        Manner::Silent => loop {
            std::thread::park();
        },
        Manner::Trickles => {
            stream.write_all(format!("{}\r\n", head("200 OK", 612)).as_bytes())?;
            loop {
                stream.write_all(b" ")?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Manner::Circles => {
            stream.write_all(format!("{}Location: {address}/again\r\n\r\n", head("302 Found", 0)).as_bytes())
        }
    }
}

/// Settings that know nothing but an empty cache, the given hub and the given pips, and are in a hurry.
fn settings(cache: &Path, endpoint: String, pip: &[&[&str]]) -> model::Settings {
    let mut settings = model::Settings::from_environment();
    settings.cache = cache.into();
    settings.endpoint = endpoint;
    settings.offline = false;
    settings.pip = pip.iter().map(|command| command.iter().map(OsString::from).collect()).collect();
    settings.limits.connect = Duration::from_secs(1);
    settings.limits.response = Duration::from_millis(300);
    settings.limits.file = Duration::from_millis(600);
    settings.limits.pip = Duration::from_millis(300);
    settings.limits.other_process = Duration::from_millis(300);
    settings
}

fn nobody_listens() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Fetching fails, says each of `phrases`, and leaves nothing in the cache but its lock.
fn check_failure(settings: &model::Settings, phrases: &[&str]) {
    let error = model::locate(settings, None).unwrap_err();
    assert!(matches!(error, EmbedError::Fetch { .. }), "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "not one line: {text}");
    for phrase in phrases {
        assert!(text.contains(phrase), "{phrase:?} is not in {text}");
    }
    let left: Vec<_> =
        std::fs::read_dir(&settings.cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".all-MiniLM-L6-v2.lock"], "left in the cache");
}

#[test]
fn a_hub_that_fails_in_any_way_ends_in_bounded_time_with_the_reason() {
    let cases: [(Manner, &str); 7] = [
        (Manner::Refuses, "404"),
        (Manner::Sends(b"{}"), "2 bytes came, 612 were expected"),
        (Manner::Sends(&[b'x'; 612]), "sha256"),
        (Manner::Sends(&[b'x'; 4096]), "613 bytes came"),
        (Manner::Truncates, "config.json"),
        (Manner::Silent, "timeout"),
        (Manner::Circles, "redirect"),
    ];
    for (manner, phrase) in cases {
        let cache = tempfile::tempdir().unwrap();
        check_failure(&settings(cache.path(), serve(manner), &[]), &[phrase]);
    }
}

#[test]
fn a_hub_that_trickles_for_ever_is_left_after_the_limit_of_a_file() {
    let cache = tempfile::tempdir().unwrap();
    check_failure(&settings(cache.path(), serve(Manner::Trickles), &[]), &["timeout"]);
}

#[test]
fn a_hub_that_nobody_answers_for_is_followed_by_each_pip() {
    let cache = tempfile::tempdir().unwrap();
    let pips: &[&[&str]] =
        &[&["quipu-test-no-such-program"], &["sh", "-c", "echo the index is closed >&2; exit 3"]];
    let phrases = ["the model hub:", "quipu-test-no-such-program", "the index is closed", "python3-pip"];
    check_failure(&settings(cache.path(), nobody_listens(), pips), &phrases);
}

#[test]
fn a_pip_that_hangs_is_ended() {
    let cache = tempfile::tempdir().unwrap();
    let pips: &[&[&str]] = &[&["sh", "-c", "exec sleep 1000"]];
    check_failure(&settings(cache.path(), nobody_listens(), pips), &["not done after"]);
}

#[test]
fn a_pip_that_downloads_nothing_or_rubbish_is_an_error() {
    let cache = tempfile::tempdir().unwrap();
    check_failure(&settings(cache.path(), nobody_listens(), &[&["true"]]), &["no wheel"]);
    let rubbish: &[&[&str]] =
        &[&["sh", "-c", "while [ \"$1\" != --dest ]; do shift; done; echo rubbish > \"$2/a.whl\"", "pip"]];
    check_failure(&settings(cache.path(), nobody_listens(), rubbish), &["the wheel"]);
}

#[test]
fn offline_never_asks_anyone_and_says_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let asked = cache.path().join("asked");
    let script = format!("touch {}", asked.display());
    let pips: &[&[&str]] = &[&["sh", "-c", &script]];
    let mut settings = settings(cache.path(), serve(Manner::Silent), pips);
    settings.offline = true;
    let error = model::locate(&settings, None).unwrap_err();
    assert!(matches!(error, EmbedError::Offline { .. }), "{error}");
    assert!(error.to_string().contains("quipu model fetch all-MiniLM-L6-v2"), "{error}");
    assert!(!asked.exists());
}

#[test]
fn names_folders_and_neither() {
    let cache = tempfile::tempdir().unwrap();
    let settings = settings(cache.path(), nobody_listens(), &[]);
    let own = cache.path().join("my-model");
    std::fs::create_dir(&own).unwrap();
    let located = model::locate(&settings, own.to_str()).unwrap();
    assert_eq!((located.name.as_str(), located.folder.as_path()), ("my-model", own.as_path()));
    for unknown in ["no-such-model", "./no/such/folder"] {
        let error = model::locate(&settings, Some(unknown)).unwrap_err();
        assert!(error.to_string().contains("known: all-MiniLM-L6-v2"), "{error}");
    }
    assert_eq!(model::path(&settings, model::DEFAULT).unwrap(), cache.path().join(model::DEFAULT));
    let listed = model::list(&settings);
    assert_eq!((listed[0].name, &listed[0].folder), (model::DEFAULT, &None));
}

/// The real model behind a loopback hub: fetched whole, raced for, repaired when it rots.
#[test]
fn the_real_files_arrive_from_a_hub_are_raced_for_and_repaired() {
    let environment = model::Settings::from_environment();
    let source = match model::locate(&environment, None) {
        Ok(located) => located.folder,
        Err(error) if environment.offline => return eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings(cache.path(), serve_folder(&source), &[]);
    settings.limits = model::Limits::default();
    let notes: Vec<String> = std::thread::scope(|scope| {
        let run = || model::locate(&settings, None).unwrap().note;
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(notes.iter().any(|note| note.contains("fetched from the model hub")), "{notes:?}");
    let folder = cache.path().join(model::DEFAULT);
    let again = model::fetch(&settings, model::DEFAULT).unwrap();
    assert!(again.note.contains("hashes are right"), "{}", again.note);
    assert_eq!(model::list(&settings)[0].folder.as_deref(), Some(folder.as_path()));

    let mut config = std::fs::read(folder.join("config.json")).unwrap();
    config[20] ^= 1;
    std::fs::write(folder.join("config.json"), config).unwrap();
    std::fs::remove_file(folder.join("modules.json")).unwrap();
    let repaired = model::locate(&settings, None).unwrap();
    assert!(repaired.note.contains("fetched from the model hub"), "{}", repaired.note);
    assert_eq!(
        std::fs::read(folder.join("config.json")).unwrap(),
        std::fs::read(source.join("config.json")).unwrap()
    );
    let left = std::fs::read_dir(cache.path()).unwrap().count();
    assert_eq!(left, 2, "the model and its lock");
}

/// A hub that has the model's files, each under the path that the hub has it.
fn serve_folder(source: &Path) -> String {
    let names = [
        "config.json",
        "modules.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
        "tokenizer.json",
        "model.safetensors",
    ];
    let prefix = "/sentence-transformers/all-MiniLM-L6-v2/resolve/main/";
    let files: HashMap<String, Vec<u8>> = names
        .iter()
        .map(|name| (format!("{prefix}{name}"), std::fs::read(source.join(name)).unwrap()))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut request).unwrap();
            reader.lines().map_while(Result::ok).find(String::is_empty);
            let content = request.split(' ').nth(1).and_then(|path| files.get(path)).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(content).unwrap();
        }
    });
    address
}
