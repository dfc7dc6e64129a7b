//! A server that completes prompts with the project's own sampler, and misbehaves on request.
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tropism_lm::{Answer, Decoder, Loaded, Request, Sampler, Sampling, load};

/// How a response names tokens.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Form {
    Ids,
    Named,
    Content,
    Letters,
    /// two letters where there is one token
    Blurred,
}

/// What is out of order.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// every third request of a kind gets status 503
    Busy,
    /// no request gets an answer
    Silent,
    /// the policy is not loaded again after the first time
    Stale,
    /// the key is not accepted, and shown
    Locked,
    /// a reload says that it did not work
    NotLoaded,
    /// the first request is told to come back after three tenths of a second
    Later,
}

pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<State>,
    address: SocketAddr,
}

struct State {
    folder: PathBuf,
    watch: bool,
    form: Form,
    fault: Fault,
    loaded: Mutex<Option<(Decoder<Loaded, f32>, String)>>,
    asked: AtomicUsize,
    served: AtomicUsize,
    seeds: Mutex<Vec<u64>>,
    most: usize,
    dead: AtomicBool,
}

impl Server {
    /// A server that completes `most` prompts and is gone then; one that watches loads the folder whenever it has changed.
    pub(crate) fn start(folder: PathBuf, watch: bool, form: Form, fault: Fault, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            folder,
            watch,
            form,
            fault,
            loaded: Mutex::new(None),
            asked: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            seeds: Mutex::default(),
            most,
            dead: AtomicBool::new(false),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.dead.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Server { url: format!("http://{address}/v1"), state, address }
    }

    pub(crate) fn reload_url(&self) -> String {
        format!("http://{}/update_weights_from_disk", self.address)
    }

    /// Prompts completed so far.
    pub(crate) fn served(&self) -> usize {
        self.state.served.load(Ordering::SeqCst)
    }

    /// The seeds of the prompts completed so far.
    pub(crate) fn seeds(&self) -> Vec<u64> {
        self.state.seeds.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.dead.store(true, Ordering::SeqCst);
        // wakes the thread that accepts
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, state: &State) {
    let address = stream.local_addr().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((head, body)) = read(&mut reader) {
        if state.dead.load(Ordering::SeqCst) {
            return;
        }
        let n = state.asked.fetch_add(1, Ordering::SeqCst);
        let (status, reply) = match state.fault {
            Fault::Silent => {
                std::thread::sleep(std::time::Duration::from_millis(300));
                return;
            }
            Fault::Busy if n.is_multiple_of(3) => (503, json!({ "error": "busy" })),
            Fault::Later if n == 0 => (503, json!({ "error": "later" })),
            Fault::Locked => (401, json!({ "error": format!("bad header {head}") })),
            _ if head.starts_with("POST /update_weights_from_disk ") => {
                assert_eq!(body["model_path"], state.folder.display().to_string());
                let fine = state.fault != Fault::NotLoaded;
                if fine {
                    state.load();
                }
                (200, json!({ "success": fine, "message": "no room" }))
            }
            _ if head.starts_with("POST /v1/completions ") => {
                if state.served.fetch_add(1, Ordering::SeqCst) >= state.most {
                    state.served.fetch_sub(1, Ordering::SeqCst);
                    // gone for good: neither this connection nor a new one gets an answer
                    if !state.dead.swap(true, Ordering::SeqCst) {
                        let _ = TcpStream::connect(address);
                    }
                    return;
                }
                (200, state.complete(&body))
            }
            _ => (404, json!({})),
        };
        let text = reply.to_string();
        let wait = if status == 503 && state.fault == Fault::Later { "Retry-After: 0.3\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status} X\r\n{wait}Content-Length: {}\r\n\r\n", text.len());
        if stream.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
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
    Some((head, serde_json::from_slice(&body).unwrap()))
}

impl State {
    fn load(&self) {
        let version = std::fs::read_to_string(self.folder.join("version.txt")).unwrap();
        let mut loaded = self.loaded.lock().unwrap();
        let stale = self.fault == Fault::Stale && loaded.is_some();
        if !stale && loaded.as_ref().is_none_or(|l| l.1 != version) {
            *loaded = Some((load(&self.folder, |c| Ok(Loaded::new(c))).unwrap(), version));
        }
    }

    fn complete(&self, body: &Value) -> Value {
        if self.watch {
            self.load();
        }
        let loaded = self.loaded.lock().unwrap();
        let (model, version) = loaded.as_ref().unwrap();
        self.seeds.lock().unwrap().push(body["seed"].as_u64().unwrap());
        let answer = sample(model, body);
        let logps = if body["temperature"] == 1.0 { &answer.model_logps } else { &answer.sampling_logps };
        let letter = |t: &u32| char::from(b'a' + *t as u8).to_string();
        let mut choice = json!({ "text": "", "finish_reason": if answer.finished() { "stop" } else { "length" } });
        choice["logprobs"] = match self.form {
            Form::Content => {
                let entry = |(t, l): (&u32, &f32)| json!({ "id": t, "token": letter(t), "logprob": l });
                json!({ "content": answer.tokens.iter().zip(logps).map(entry).collect::<Vec<_>>() })
            }
            form => {
                let name = |t: &u32| match form {
                    Form::Named => format!("token_id:{t}"),
                    Form::Blurred => letter(t).repeat(2),
                    _ => letter(t),
                };
                json!({ "tokens": answer.tokens.iter().map(name).collect::<Vec<_>>(), "token_logprobs": logps })
            }
        };
        if self.form == Form::Ids {
            choice["token_ids"] = json!(answer.tokens);
        }
        let usage = json!({ "prompt_tokens": body["prompt"].as_array().unwrap().len() });
        json!({ "choices": [choice], "usage": usage, "system_fingerprint": version })
    }
}

/// What the program itself would have sampled: `user` says which draws to make.
fn sample(model: &Decoder<Loaded, f32>, body: &Value) -> Answer {
    let numbers: Vec<u64> = body["user"].as_str().unwrap().split('/').map(|n| n.parse().unwrap()).collect();
    let ids = |key: &str| -> Vec<u32> { body[key].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect() };
    let sampling = Sampling {
        temperature: body["temperature"].as_f64().unwrap(),
        max_new_tokens: body["max_tokens"].as_u64().unwrap() as usize,
        ..Sampling::default()
    };
    let request = Request { stream: Some(numbers[1] as u32), ..Request::new(ids("prompt"), numbers[2] as usize + 1) };
    let sampler = Sampler::new(model, sampling).stop_tokens(&ids("stop_token_ids")).seed(numbers[0]);
    sampler.answers(&[request]).unwrap().remove(0).pop().unwrap()
}
