//! An app that calculates, by JSON-RPC 2.0: `POST` to the host's `/rpc/` and the app's name.

use atoll_plugin::RpcError;
use atoll_plugin::prelude::*;

/// The code of the error that a division by zero is.
const DIVISION_BY_ZERO: i64 = 1;

/// What `divide` takes: `[6, 3]`, or `{ "dividend": 6, "divisor": 3 }`.
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
    use super::*;

    #[test]
    fn it_calculates() {
        assert_eq!(add(vec![1.5, 2.0, 3.5]), Ok(7.0));
        let (dividend, divisor) = (6.0, 3.0);
        assert_eq!(divide(Division { dividend, divisor }), Ok(2.0));
    }

    #[test]
    fn a_division_by_zero_is_an_error() {
        let (dividend, divisor) = (1.0, 0.0);
        let error = divide(Division { dividend, divisor }).unwrap_err();
        assert_eq!(error.code(), DIVISION_BY_ZERO);
    }

    #[test]
    fn its_methods_are_listed() {
        let response = app().oneshot(Request::get("/"));
        assert_eq!(response.body_bytes(), br#"{"methods":["add","divide"]}"#);
    }
}
