//! The chain that an index is made with: channel → read → worker → extract → chunk → embed → batch → write.

use quipu_compute::{ComputeConfig, ComputePool};
use quipu_flow::{Batch, Ended, Failed, Flow, OnError, Report, Weigh};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct File {
    path: String,
    size: usize,
}

impl Weigh for File {
    fn heap_bytes(&self) -> usize {
        self.path.heap_bytes()
    }
}

struct Document {
    path: String,
    text: String,
    chunks: Vec<String>,
    vectors: Vec<u64>,
}

impl Weigh for Document {
    fn heap_bytes(&self) -> usize {
        self.path.heap_bytes() + self.text.heap_bytes() + self.chunks.heap_bytes() + self.vectors.heap_bytes()
    }
}

async fn read(file: File) -> Result<(String, Vec<u8>), String> {
    tokio::task::yield_now().await;
    if file.path.ends_with('7') { Err("unreadable".into()) } else { Ok((file.path, vec![b'x'; file.size])) }
}

fn chunk(document: Document) -> Result<Document, String> {
    if document.text.len() % 10 == 9 {
        return Err(format!("{} cannot be chunked", document.path));
    }
    let chunks = document.text.as_bytes().chunks(8).map(|part| part.iter().map(|b| *b as char).collect());
    Ok(Document { chunks: chunks.collect(), ..document })
}

fn embed(mut documents: Vec<Document>) -> Vec<Document> {
    documents.par_iter_mut().for_each(|document| {
        document.vectors = document.chunks.par_iter().map(|chunk| chunk.len() as u64).collect();
    });
    documents
}

async fn index(threads: usize, memory: u64) {
    let pool = ComputePool::new(ComputeConfig::default().threads(threads)).unwrap();
    let (files, receiver) = tokio::sync::mpsc::channel(4);
    let (written, failed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (store, ledger) = (written.clone(), failed.clone());
    let handle = Flow::from_channel(receiver)
        .key(|file: &File| file.path.clone())
        .io(read)
        .named("read")
        .limit(8)
        .output_at_most(|file| file.size)
        .io(async |(path, bytes): (String, Vec<u8>)| {
            tokio::task::yield_now().await;
            String::from_utf8(bytes).map(|text| (path, text))
        })
        .named("worker")
        .limit(2)
        .try_map(|(path, text)| {
            if path.ends_with("13") {
                panic!("a broken parser");
            }
            Ok::<_, String>(Document { path, text, chunks: Vec::new(), vectors: Vec::new() })
        })
        .named("extract")
        .try_map(chunk)
        .named("chunk")
        .map_batch(
            Batch::weight(64, |document: &Document| document.chunks.len()).within(Duration::from_millis(20)),
            embed,
        )
        .named("embed")
        .batch(Batch::bytes(2048).within(Duration::from_secs(1)))
        .sink(move |documents: Vec<Document>| {
            let store = store.clone();
            async move {
                store.lock().unwrap().extend(documents.into_iter().map(|document| document.path));
                Ok::<(), String>(())
            }
        })
        .named("write")
        .on_any_error(OnError::dead_letter(move |failed: Failed| {
            let ledger = ledger.clone();
            async move {
                ledger.lock().unwrap().push((failed.key.unwrap(), failed.stage));
                Ok::<(), String>(())
            }
        }))
        .memory(memory)
        .on(&pool)
        .start()
        .unwrap();
    for number in 0..100 {
        assert!(files.send(File { path: format!("file {number}"), size: number * 3 }).await.is_ok());
    }
    drop(files);
    let report = handle.join().await.unwrap();
    let (failed, written) =
        (std::mem::take(&mut *failed.lock().unwrap()), std::mem::take(&mut *written.lock().unwrap()));
    check_ends(&report, failed, written);
}

fn check_ends(report: &Report, failed: Vec<(String, String)>, mut written: Vec<String>) {
    assert_eq!(report.ended, Ended::Done);
    assert_eq!(report.births, 100);
    assert_eq!(report.births, report.ends.total());
    assert_eq!(report.ends.dead_lettered, failed.len() as u64);
    assert!(failed.contains(&("file 17".into(), "read".into())));
    assert!(failed.contains(&("file 13".into(), "extract".into())));
    assert!(failed.contains(&("file 3".into(), "chunk".into())));
    written.sort();
    written.dedup();
    assert_eq!(written.len() as u64, report.ends.delivered);
    assert_eq!(written.len() + failed.len(), 100);
}

#[tokio::test]
async fn indexes_with_one_cpu_thread_and_one_tokio_worker() {
    for memory in [0, 1, 5000, 1 << 20] {
        index(1, memory).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn indexes_with_several_of_each() {
    for memory in [0, 1, 5000, 1 << 20] {
        index(3, memory).await;
    }
}
