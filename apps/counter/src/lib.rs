//! Counts, and keeps its count when it is reloaded.

use std::cell::Cell;
use std::rc::Rc;

use atoll_plugin::prelude::*;

fn app() -> Application {
    let count = Rc::new(Cell::new(0_u64));
    let (saved, restored, shown, counted) = (count.clone(), count.clone(), count.clone(), count);
    Application::new()
        .on_save(move || Ok(saved.get()))
        .on_restore(move |count: u64| {
            restored.set(count);
            Ok(())
        })
        .get("/", move |_: Request| Response::json(json!({ "count": shown.get() })))
        .post("/", move |_: Request| {
            counted.set(counted.get() + 1);
            Response::json(json!({ "count": counted.get() }))
        })
}
atoll_plugin::export_app!(app);

#[cfg(test)]
mod tests {
    use atoll_plugin::serde_json::Value;
    use atoll_plugin::test::TestApp;

    use super::*;

    fn count(app: &TestApp) -> Value {
        app.get("/").json::<Value>().unwrap()["count"].take()
    }

    #[test]
    fn it_counts_on_after_a_reload() {
        let app = TestApp::new(app);
        assert_eq!(count(&app), 0);
        for _ in 0..3 {
            assert_eq!(app.send(Request::post("/")).status(), 200);
        }
        assert_eq!(app.save().unwrap(), 3);
        let app = app.reload();
        assert_eq!(count(&app), 3);
        let next: Value = app.send(Request::post("/")).json().unwrap();
        assert_eq!(next, json!({ "count": 4 }));
    }

    #[test]
    fn a_state_of_another_kind_is_a_new_beginning() {
        let app = TestApp::builder(app).state("three").start().unwrap();
        assert_eq!(count(&app), 0);
        assert!(app.log()[0].1.contains("cannot restore the state"), "{:?}", app.log());
    }
}
