;; The app: `greet` reads the text of a request at 0x1000, writes its answer at 0x8000, and returns how long that is.
(memory (export "memory") 1)
(data (i32.const 0x100) "GET /greet/")
(data (i32.const 0x140) "200\ncontent-type: application/json\n\n{\"name\":\"")
(data (i32.const 0x180) "404\n\n")
(data (i32.const 0x1a0) "0123456789abcdef")

(func $not_found (result i32)
  (memory.copy (i32.const 0x8000) (i32.const 0x180) (i32.const 5))
  (i32.const 5))

(func $greet (param $length i32) (result i32)
  (local $at i32) (local $end i32) (local $out i32) (local $byte i32)
  ;; The path begins as it must.
  (block $begins
    (loop $next
      (br_if $begins (i32.eq (local.get $at) (i32.const 11)))
      (if (i32.ne (i32.load8_u offset=0x1000 (local.get $at)) (i32.load8_u offset=0x100 (local.get $at)))
        (then (return (call $not_found))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
  (memory.copy (i32.const 0x8000) (i32.const 0x140) (i32.const 45))
  (local.set $out (i32.const 0x802d))
  (local.set $at (i32.const 0x100b))
  (local.set $end (i32.add (local.get $length) (i32.const 0x1000)))
  ;; The name, as JSON.
  (block $name
    (loop $next
      (br_if $name (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $byte (i32.load8_u (local.get $at)))
      (br_if $name (i32.eq (local.get $byte) (i32.const 10)))
      (if (i32.eq (local.get $byte) (i32.const 47)) (then (return (call $not_found))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (if (i32.lt_u (local.get $byte) (i32.const 32))
        (then
          (i32.store (local.get $out) (i32.const 0x3030755c))
          (i32.store8 offset=4 (local.get $out)
            (i32.load8_u offset=0x1a0 (i32.shr_u (local.get $byte) (i32.const 4))))
          (i32.store8 offset=5 (local.get $out)
            (i32.load8_u offset=0x1a0 (i32.and (local.get $byte) (i32.const 15))))
          (local.set $out (i32.add (local.get $out) (i32.const 6)))
          (br $next)))
      (if (i32.or (i32.eq (local.get $byte) (i32.const 34)) (i32.eq (local.get $byte) (i32.const 92)))
        (then
          (i32.store8 (local.get $out) (i32.const 92))
          (local.set $out (i32.add (local.get $out) (i32.const 1)))))
      (i32.store8 (local.get $out) (local.get $byte))
      (local.set $out (i32.add (local.get $out) (i32.const 1)))
      (br $next)))
  (if (i32.eq (local.get $out) (i32.const 0x802d)) (then (return (call $not_found))))
  (i32.store16 (local.get $out) (i32.const 0x7d22))
  (i32.sub (local.get $out) (i32.const 0x7ffe)))
