//! A headless Chromium, driven through chromedriver as the W3C's WebDriver protocol says.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{TEST_TIMEOUT, is_there};

const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
pub const ENTER: &str = "\u{e007}";
pub const TAB: &str = "\u{e004}";
pub const ESCAPE: &str = "\u{e00c}";
pub const ARROW_DOWN: &str = "\u{e015}";
pub const ARROW_RIGHT: &str = "\u{e014}";

/// One browser at a time: they are heavy, and their tests measure nothing that gains from more.
static TURN: Mutex<()> = Mutex::new(());

pub struct Browser {
    driver: Child,
    /// The address of the session.
    session: String,
    agent: ureq::Agent,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Opens an address; `None` if there is no browser here.
    pub fn open(url: &str) -> Option<Browser> {
        if !is_there("chromedriver") || !is_there("chromium") {
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            line.split("started successfully on port ").nth(1).map(|rest| rest.trim_end_matches('.').to_owned())
        });
        let profile = tempfile::tempdir().unwrap();
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)));
        let mut browser = Browser {
            driver,
            session: format!("http://127.0.0.1:{}", port.unwrap()),
            agent: config.build().into(),
            _profile: profile,
            _turn: turn,
        };
        let folder = browser._profile.path().display().to_string();
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            format!("--user-data-dir={folder}"),
        ]);
        let made = browser.call(
            "POST",
            "/session",
            json!({"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }}}),
        );
        browser.session += &format!("/session/{}", made["sessionId"].as_str().unwrap());
        browser.size(1280, 800);
        browser.go(url);
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: Value) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: Value) -> Result<Value, Value> {
        let url = format!("{}{path}", self.session);
        let sent = match method {
            "GET" => self.agent.get(&url).call(),
            "DELETE" => self.agent.delete(&url).call(),
            _ => self.agent.post(&url).content_type("application/json").send(body.to_string()),
        };
        let mut response = sent.unwrap();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let value = answer["value"].clone();
        if response.status().is_success() { Ok(value) } else { Err(value) }
    }

    pub fn go(&self, url: &str) {
        self.call("POST", "/url", json!({"url": url}));
    }

    /// Opens an address in one more tab, and continues there.
    pub fn open_tab(&self, url: &str) {
        let tab = self.call("POST", "/window/new", json!({"type": "tab"}));
        self.call("POST", "/window", json!({"handle": tab["handle"]}));
        self.go(url);
    }

    fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.call("POST", "/goog/cdp/execute", json!({"cmd": command, "params": parameters}))
    }

    /// What the scripts of the page hold, with what is free to be collected.
    pub fn heap_mib(&self) -> f64 {
        self.devtools("Runtime.getHeapUsage", json!({}))["usedSize"].as_f64().unwrap() / 1024.0 / 1024.0
    }

    /// Also narrower than a window can be.
    pub fn size(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
    }

    pub fn scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Runs the body of a function; its arguments are in `arguments`.
    pub fn run(&self, script: &str, arguments: Value) -> Value {
        self.call("POST", "/execute/sync", json!({"script": script, "args": arguments}))
    }

    /// Runs a script that waits itself; the last of its `arguments` takes the result.
    pub fn run_async(&self, script: &str) -> Value {
        self.call("POST", "/execute/async", json!({"script": script, "args": []}))
    }

    pub fn text(&self, css: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join('\\n')";
        self.run(script, json!([css])).as_str().unwrap().to_owned()
    }

    pub fn count(&self, css: &str) -> u64 {
        self.run("return document.querySelectorAll(arguments[0]).length", json!([css])).as_u64().unwrap()
    }

    /// Waits until a script returns true.
    pub fn wait(&self, what: &str, script: &str, arguments: Value) {
        let deadline = Instant::now() + TEST_TIMEOUT;
        while self.run(script, arguments.clone()) != true {
            if Instant::now() > deadline {
                let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
                self.screenshot(&folder.join("failed-page.png"));
                panic!("{what}\n{:.3000}", self.text("body"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a text is to be seen in an element.
    pub fn wait_text(&self, css: &str, text: &str) {
        let script =
            "return [...document.querySelectorAll(arguments[0])].some((one) => one.innerText.includes(arguments[1]))";
        self.wait(&format!("{css} never has {text:?}"), script, json!([css, text]));
    }

    fn find(&self, css: &str) -> Option<String> {
        let found = self.try_call("POST", "/element", json!({"using": "css selector", "value": css})).ok()?;
        Some(found[ELEMENT].as_str().unwrap().to_owned())
    }

    /// Waits for an element, and clicks it where a person would.
    pub fn click(&self, css: &str) {
        self.act_on(css, "click", json!({}));
    }

    /// Waits for an element, and types at the end of what is in it.
    pub fn type_into(&self, css: &str, text: &str) {
        self.act_on(css, "value", json!({"text": text}));
    }

    /// Types in place of what is in a field.
    pub fn replace(&self, css: &str, text: &str) {
        let select = "const one = document.querySelector(arguments[0]); one.focus(); one.select()";
        self.run(select, json!([css]));
        self.keys(text);
    }

    /// Tries until it works: the page may replace an element between the search and the action, which then did nothing.
    fn act_on(&self, css: &str, action: &str, parameters: Value) {
        let deadline = Instant::now() + TEST_TIMEOUT;
        loop {
            let done = match self.find(css) {
                Some(element) => self.try_call("POST", &format!("/element/{element}/{action}"), parameters.clone()),
                None => Err(json!("it is not there")),
            };
            match done {
                Ok(_) => return,
                Err(error) => {
                    assert!(Instant::now() < deadline, "{action} {css}: {error}\n{:.3000}", self.text("body"))
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn choose(&self, css: &str, value: &str) {
        let script = "const one = document.querySelector(arguments[0]); one.value = arguments[1]; \
                      one.dispatchEvent(new Event('change', {bubbles: true}))";
        self.run(script, json!([css, value]));
    }

    /// Presses keys, wherever the focus is.
    pub fn keys(&self, keys: &str) {
        let press = |key: char| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        self.call("POST", "/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    /// Role and name of each element for assistive technology, and its HTML, all of one moment.
    pub fn roles_and_names(&self, css: &str) -> Vec<(String, String, String)> {
        let deadline = Instant::now() + TEST_TIMEOUT;
        loop {
            match self.try_roles_and_names(css) {
                Ok(all) => return all,
                // The page has replaced one of them meanwhile.
                Err(error) => assert!(Instant::now() < deadline, "{css}: {error}"),
            }
        }
    }

    fn try_roles_and_names(&self, css: &str) -> Result<Vec<(String, String, String)>, Value> {
        let found = self.call("POST", "/elements", json!({"using": "css selector", "value": css}));
        let get = |element: &Value, what: &str| -> Result<String, Value> {
            let path = format!("/element/{}/{what}", element[ELEMENT].as_str().unwrap());
            Ok(self.try_call("GET", &path, Value::Null)?.as_str().unwrap_or_default().to_owned())
        };
        let describe = |element: &Value| {
            Ok((get(element, "computedrole")?, get(element, "computedlabel")?, get(element, "property/outerHTML")?))
        };
        found.as_array().unwrap().iter().map(describe).collect()
    }

    pub fn screenshot(&self, path: &std::path::Path) {
        let encoded = self.call("GET", "/screenshot", Value::Null);
        std::fs::write(path, decode(encoded.as_str().unwrap())).unwrap();
    }

    /// What the browser complained about since the last call.
    pub fn complaints(&self) -> Vec<String> {
        let list = self.call("POST", "/se/log", json!({"type": "browser"}));
        list.as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Ends a test: nothing was wrong in the page.
    pub fn assert_no_complaints(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn decode(base64: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = base64.bytes().filter(|byte| *byte != b'=').collect();
    let group = |digits: &[u8]| {
        let number = digits.iter().fold(0_u32, |number, digit| number << 6 | u32::from(value(*digit)));
        let number = number << (6 * (4 - digits.len()));
        number.to_be_bytes()[1..digits.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
