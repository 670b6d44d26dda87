//! A token endpoint on a real socket that answers as its script says or forwards to another, and a proxy.
//!
//! Every request is kept: its form, its headers. Dropping the
//! endpoint or the proxy ends its threads and connections.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The request line and the headers.
    pub head: String,
    /// The fields of the form.
    pub form: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What the endpoint does with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// Answers with this status, these headers (each with its line end) and this body.
    Answer(u16, String, String),
    /// Writes these bytes and closes the connection.
    Raw(Vec<u8>),
    /// Writes these bytes, and then a blank every 50 ms without end.
    Drip(Vec<u8>),
    /// Never answers.
    Stall,
    /// Answers as the server at this port of this machine does.
    Forward(u16),
    /// Waits, then does that.
    Delay(Duration, Box<Action>),
}

/// A token and its lifetime in seconds, as Microsoft Entra answers.
pub fn token(token: &str, lifetime: u64) -> Action {
    json(
        200,
        &format!(
            r#"{{"token_type":"Bearer","expires_in":{lifetime},"ext_expires_in":{lifetime},"access_token":"{token}"}}"#
        ),
    )
}

/// A JSON answer.
pub fn json(status: u16, body: &str) -> Action {
    let headers = "Content-Type: application/json; charset=utf-8\r\n";
    Action::Answer(status, headers.into(), body.into())
}

/// An error of Microsoft Entra.
pub fn aadsts(status: u16, error: &str, code: u32, text: &str) -> Action {
    let description = format!(
        "AADSTS{code}: {text} Trace ID: 11112222-3333-4444-5555-666677778888 Correlation ID: 99990000-aaaa-bbbb-cccc-ddddeeeeffff Timestamp: 2027-01-01 00:00:00Z"
    );
    let body = serde_json::json!({
        "error": error,
        "error_description": description,
        "error_codes": [code],
        "timestamp": "2027-01-01 00:00:00Z",
        "trace_id": "11112222-3333-4444-5555-666677778888",
        "correlation_id": "99990000-aaaa-bbbb-cccc-ddddeeeeffff",
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    json(status, &body.to_string())
}

type Script = dyn FnMut(&Request) -> Action + Send;

/// Listens on a free port until it is dropped.
struct Listener {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(
        address: impl Into<IpAddr>,
        serve: impl Fn(TcpStream, &AtomicBool) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address.into(), 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let ended = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (serve, stop, streams) = (Arc::new(serve), ended.clone(), open.clone());
        let thread = thread::spawn(move || {
            let mut threads = Vec::new();
            while let Ok((stream, _)) = listener.accept()
                && !stop.load(Ordering::SeqCst)
            {
                let copy = stream.try_clone().expect("a descriptor is free");
                lock(&streams).push(stream.try_clone().expect("a descriptor is free"));
                let (serve, stop) = (serve.clone(), stop.clone());
                threads.push(thread::spawn(move || {
                    serve(stream, &stop);
                    // The copies would keep it open.
                    let _ = copy.shutdown(Shutdown::Both);
                }));
            }
            for thread in threads {
                // A panic of the script has failed the test by its message.
                let _ = thread.join();
            }
        });
        Self {
            address,
            ended,
            open,
            thread: Some(thread),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for stream in lock(&self.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The endpoint.
pub struct TokenEndpoint {
    listener: Listener,
    requests: Arc<Mutex<Vec<Request>>>,
    scheme: &'static str,
}

impl TokenEndpoint {
    /// Without TLS.
    pub fn start(script: impl FnMut(&Request) -> Action + Send + 'static) -> Self {
        Self::start_with(None, script)
    }

    /// With TLS.
    pub fn start_with(
        tls: Option<Arc<ServerConfig>>,
        script: impl FnMut(&Request) -> Action + Send + 'static,
    ) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, tls, script)
    }

    /// At another address of this machine.
    pub fn start_at(
        address: impl Into<IpAddr>,
        tls: Option<Arc<ServerConfig>>,
        script: impl FnMut(&Request) -> Action + Send + 'static,
    ) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let kept = requests.clone();
        let listener = Listener::start(address, move |stream, ended| {
            let answer = |request: Request| {
                lock(&kept).push(request.clone());
                (lock(&script))(&request)
            };
            let _ = match &tls {
                None => serve(stream, ended, answer),
                Some(config) => {
                    let connection = ServerConnection::new(config.clone());
                    let connection = connection.expect("the configuration is usable");
                    serve(StreamOwned::new(connection, stream), ended, answer)
                }
            };
        });
        Self {
            listener,
            requests,
            scheme,
        }
    }

    /// Its base URL, without a path.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.listener.address)
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }
}

fn serve<S: Read + Write>(
    stream: S,
    ended: &AtomicBool,
    answer: impl FnOnce(Request) -> Action,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let request = read_request(&mut reader)?;
    let action = answer(request.clone());
    perform(reader.get_mut(), ended, &request, action)
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let mut request = Request::default();
    while !request.head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request.head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = request.header("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().expect("it is a number")];
    reader.read_exact(&mut body)?;
    request.body = String::from_utf8(body).expect("a form is ASCII");
    let form = url::form_urlencoded::parse(request.body.as_bytes());
    request.form = form.into_owned().collect();
    Ok(request)
}

fn perform(
    stream: &mut impl Write,
    ended: &AtomicBool,
    request: &Request,
    action: Action,
) -> io::Result<()> {
    match action {
        Action::Answer(status, headers, body) => {
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )?;
            stream.flush()
        }
        Action::Raw(bytes) => {
            stream.write_all(&bytes)?;
            stream.flush()
        }
        Action::Drip(bytes) => {
            stream.write_all(&bytes)?;
            while !ended.load(Ordering::SeqCst) {
                stream.write_all(b" ")?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        Action::Stall => {
            while !ended.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        }
        Action::Forward(port) => {
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            // The answer ends with the connection.
            let head = request.head.trim_end();
            let body = &request.body;
            write!(server, "{head}\r\nConnection: close\r\n\r\n{body}")?;
            io::copy(&mut server, stream)?;
            stream.flush()
        }
        Action::Delay(pause, action) => {
            thread::sleep(pause);
            perform(stream, ended, request, *action)
        }
    }
}

/// A proxy that connects to any port of this machine, whatever host is asked for.
pub struct ConnectProxy {
    listener: Listener,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ConnectProxy {
    /// A proxy that refuses every request with this status, or none.
    pub fn start(refuse: Option<u16>) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let listener = Listener::start(Ipv4Addr::LOCALHOST, move |stream, _| {
            let _ = relay(stream, refuse, &kept);
        });
        Self { listener, requests }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.listener.address.port()
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }
}

fn relay(client: TcpStream, refuse: Option<u16>, kept: &Mutex<Vec<Request>>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let request = read_request(&mut reader)?;
    lock(kept).push(request.clone());
    let mut client = reader.into_inner();
    if let Some(status) = refuse {
        write!(client, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")?;
        return client.shutdown(Shutdown::Both);
    }
    let target = request.head.split(' ').nth(1).unwrap_or_default();
    let port: u16 = target
        .rsplit(':')
        .next()
        .and_then(|it| it.parse().ok())
        .expect("CONNECT names a port");
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upstream = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both)?;
    let _ = upstream.join();
    Ok(())
}
