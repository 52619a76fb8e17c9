//! An app with JSON-RPC 2.0 methods: `POST` to `/rpc/` and the app's name on the host.

use atoll_plugin::RpcError;
use atoll_plugin::prelude::*;

/// The error code for a division by zero.
const DIVISION_BY_ZERO: i64 = 1;

/// The parameters of `divide`: `[6, 3]`, or `{ "dividend": 6, "divisor": 3 }`.
#[derive(Deserialize)]
#[serde(crate = "atoll_plugin::serde")]
struct Division {
    dividend: f64,
    divisor: f64,
}

fn app() -> Application {
    Application::new()
        .method("add", add)
        .method("divide", divide)
        .get("/", |_: Request| {
            Response::json(json!({ "methods": ["add", "divide"] }))
        })
}
atoll_plugin::export_app!(app);

fn add(numbers: Vec<f64>) -> Result<f64, RpcError> {
    Ok(numbers.iter().sum())
}

fn divide(Division { dividend, divisor }: Division) -> Result<f64, RpcError> {
    if divisor == 0.0 {
        return Err(RpcError::new(DIVISION_BY_ZERO, "division by zero"));
    }
    Ok(dividend / divisor)
}

#[cfg(test)]
mod tests {
    use atoll_plugin::test::TestApp;

    use super::*;

    #[test]
    fn it_calculates() {
        let app = TestApp::new(app);
        assert_eq!(app.call("add", [1.5, 2.0, 3.5]), Ok(7.0));
        assert_eq!(app.call("divide", [6.0, 3.0]), Ok(2.0));
        let named = json!({ "dividend": 1, "divisor": 4 });
        assert_eq!(app.call("divide", named), Ok(0.25));
    }

    #[test]
    fn a_division_by_zero_is_an_error() {
        let result: Result<f64, _> = TestApp::new(app).call("divide", [1.0, 0.0]);
        assert_eq!(result.unwrap_err().code(), DIVISION_BY_ZERO);
    }

    #[test]
    fn its_methods_are_listed() {
        let response = TestApp::new(app).get("/");
        assert_eq!(response.text(), r#"{"methods":["add","divide"]}"#);
    }
}
