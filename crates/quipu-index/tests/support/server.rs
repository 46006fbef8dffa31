//! An embeddings server on the loopback interface that computes real vectors and can misbehave in each way that a
//! server, or a network, can. HTTP/1.1 by hand, one connection a call.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quipu_embed::Embedder;
use serde_json::{Value, json};

/// How the server treats one call.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Answers with the vectors.
    Well,
    /// Answers with this status and these headers (each line ended), and says so.
    Status(u16, &'static str),
    /// Promises the vectors, and ends the connection in the middle of them.
    Cuts,
    /// Takes the call and closes.
    Closes,
    /// Takes the call and says nothing until the caller goes away.
    Silent,
    /// Sends a byte of the answer now and then, and never the last one.
    Trickles,
    /// Answers with these bytes in place of the vectors.
    Says(&'static str),
    /// Answers without end.
    Floods,
    /// Leaves the last vector out.
    LosesOne,
    /// Leaves the last number of each vector out.
    Shortens,
    /// Answers with vectors of other texts.
    OtherModel,
}

/// A call as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub at: Instant,
    pub texts: Vec<String>,
    pub model: String,
    pub authorization: Option<String>,
}

/// A server on a free port; its threads end with the test's process.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    shared: Arc<Shared>,
}

type Judge = dyn Fn(&[String]) -> Option<Manner> + Send + Sync;

struct Shared {
    embedder: Arc<dyn Embedder>,
    calls: Mutex<Vec<Call>>,
    /// For the next calls, one each.
    manners: Mutex<VecDeque<Manner>>,
    /// For calls that no manner was set for.
    judge: Box<Judge>,
}

impl Server {
    /// Answers all calls well, but the first ones as `manners` says.
    pub fn start(embedder: Arc<dyn Embedder>, manners: Vec<Manner>) -> Self {
        Self::judging(embedder, manners, |_| None)
    }

    /// The same, and each later call as `judge` says of its texts.
    pub fn judging(
        embedder: Arc<dyn Embedder>,
        manners: Vec<Manner>,
        judge: impl Fn(&[String]) -> Option<Manner> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1/embeddings", listener.local_addr().expect("an address"));
        let (calls, manners) = (Mutex::default(), Mutex::new(manners.into()));
        let shared = Arc::new(Shared { embedder, calls, manners, judge: Box::new(judge) });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.answer(stream));
            }
        });
        Self { url, shared }
    }

    /// An address at which nobody listens.
    pub fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}/v1/embeddings", listener.local_addr().expect("an address"))
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().expect("no panic").clone()
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let at = Instant::now();
        let (question, authorization) = read(&mut BufReader::new(stream.try_clone()?))?;
        let words = question["input"].as_array().expect("a list of texts");
        let texts: Vec<String> = words.iter().map(|text| text.as_str().expect("a text").to_owned()).collect();
        assert_eq!(question["encoding_format"], "float");
        let model = question["model"].as_str().expect("a model").to_owned();
        self.calls.lock().expect("no panic").push(Call { at, texts: texts.clone(), model, authorization });
        let set = self.manners.lock().expect("no panic").pop_front();
        let manner = set.or_else(|| (self.judge)(&texts)).unwrap_or(Manner::Well);
        let body = match manner {
            Manner::Shortens => self.vectors(&texts, |vector| vector.truncate(vector.len() - 1)),
            Manner::OtherModel => self.vectors(&texts, |vector| vector.reverse()),
            _ => self.vectors(&texts, |_| ()),
        };
        let mut whole = |status: u16, headers: &str, body: &str| {
            write!(
                stream,
                "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
                body.len()
            )
        };
        match manner {
            Manner::Well | Manner::Shortens | Manner::OtherModel => whole(200, "", &body.to_string()),
            Manner::Status(status, headers) => whole(status, headers, "the server\nsays why"),
            Manner::Says(text) => whole(200, "", text),
            Manner::LosesOne => {
                let mut body = body;
                body["data"].as_array_mut().expect("a list").pop();
                whole(200, "", &body.to_string())
            }
            Manner::Cuts => {
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{}", &body[..body.len() / 2]).as_bytes())
            }
            Manner::Closes => Ok(()),
            Manner::Silent => stream.read(&mut [0; 64]).map(drop),
            Manner::Trickles => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
                loop {
                    stream.write_all(b" ")?;
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Manner::Floods => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"data\":[")?;
                loop {
                    stream.write_all(&[b' '; 1 << 16])?;
                }
            }
        }
    }

    fn vectors(&self, texts: &[String], change: impl Fn(&mut Vec<f32>)) -> Value {
        let tokens: Vec<_> = texts.iter().map(|text| self.embedder.tokenizer().encode(text)).collect();
        let dimensions = self.embedder.info().dimensions;
        let mut vectors = vec![0.0; texts.len() * dimensions];
        self.embedder.embed_into(&tokens, &mut vectors).expect("vectors");
        let data = vectors.chunks(dimensions).enumerate().map(|(index, vector)| {
            let mut vector = vector.to_vec();
            change(&mut vector);
            json!({ "object": "embedding", "index": index, "embedding": vector })
        });
        json!({ "object": "list", "data": data.collect::<Vec<_>>(), "usage": { "prompt_tokens": 0 } })
    }
}

/// A call's body, and what it shows to be let in.
fn read(stream: &mut impl BufRead) -> io::Result<(Value, Option<String>)> {
    let (mut length, mut authorization) = (0, None);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().expect("a length"),
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((serde_json::from_slice(&body)?, authorization))
}
