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
