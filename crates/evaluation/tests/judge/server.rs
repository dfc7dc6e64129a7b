//! A small HTTP server that misbehaves on request.
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What to do with one request.
#[derive(Clone)]
pub(crate) enum Do {
    /// a completion with this text
    Say(String),
    /// a completion with a first token that has alternatives
    Weigh(Vec<(&'static str, f64)>),
    /// this status, these headers, this body
    Refuse(u16, &'static str, String),
    /// this text as the body of a good response
    Raw(String),
    /// nothing, for longer than the client waits
    Hang(Duration),
    /// half of a response, then the connection ends
    Break,
    /// this and every later request finds nobody
    Die,
}

/// One request as it came.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Seen {
    /// The user's message.
    pub(crate) fn user(&self) -> &str {
        let messages = self.body["messages"].as_array().unwrap();
        messages.last().unwrap()["content"].as_str().unwrap()
    }
}

pub(crate) struct Server {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    dead: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Server {
    /// `script(n, request)` says what the n-th request (from 0) gets.
    pub(crate) fn start(script: impl Fn(usize, &Seen) -> Do + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, dead) = (Arc::new(Mutex::new(vec![])), Arc::new(AtomicBool::new(false)));
        let script = Arc::new(script);
        let (all, over) = (seen.clone(), dead.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (all, over, script) = (all.clone(), over.clone(), script.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &all, &over, script.as_ref()));
            }
        });
        Server { endpoint: format!("http://{address}/v1"), seen, dead, address }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.dead.store(true, Ordering::SeqCst);
        // wakes the thread that accepts
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, all: &Mutex<Vec<Seen>>, dead: &AtomicBool, script: &dyn Fn(usize, &Seen) -> Do) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        if dead.load(Ordering::SeqCst) {
            return;
        }
        let n = {
            let mut all = all.lock().unwrap();
            all.push(request.clone());
            all.len() - 1
        };
        let whole = |status: u16, more: &str, body: &str| {
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{more}\r\n{body}", body.len())
        };
        let message = |text: &str| json!({"message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
        let completion = |choice: Value| json!({"id": "1", "choices": [choice]}).to_string();
        let response = match script(n, &request) {
            Do::Say(text) => whole(200, "", &completion(message(&text))),
            Do::Weigh(tokens) => {
                let mut choice = message(tokens[0].0);
                let top: Vec<Value> = tokens.iter().map(|(t, p)| json!({"token": t, "logprob": p.ln()})).collect();
                choice["logprobs"] = json!({"content": [{"token": tokens[0].0, "top_logprobs": top}]});
                whole(200, "", &completion(choice))
            }
            Do::Refuse(status, headers, body) => whole(status, headers, &body),
            Do::Raw(body) => whole(200, "", &body),
            Do::Hang(time) => {
                std::thread::sleep(time);
                return;
            }
            Do::Break => {
                let text = whole(200, "", &completion(message("[[A]]")));
                let _ = stream.write_all(&text.as_bytes()[..text.len() / 2]);
                return;
            }
            Do::Die => {
                dead.store(true, Ordering::SeqCst);
                return;
            }
        };
        if stream.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { at: Instant::now(), head, body: serde_json::from_slice(&body).unwrap() })
}
