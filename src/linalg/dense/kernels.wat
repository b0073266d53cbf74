;; The two inner loops of the dense float64 solvers, on vectors of two doubles. Addresses and leading dimensions are in
;; bytes. Matrices are row-major; a leading dimension is a multiple of 16.
(module
  (memory (import "linalg" "memory") 1)

  ;; One step of the Householder tridiagonalization, in one pass over the lower triangle of the leading m × m block of A:
  ;;   A ← A − v wᵀ − w vᵀ,  y ← A u  (A symmetric)
  ;; Two rows at a time; y must be zero on entry.
  (func (export "updateAndMultiply")
    (param $a i32) (param $lda i32) (param $m i32) (param $v i32) (param $w i32) (param $u i32) (param $y i32)
    (local $end i32) (local $last i32) (local $row i32) (local $c i32) (local $a0 i32) (local $a1 i32)
    (local $v0 v128) (local $v1 v128) (local $w0 v128) (local $w1 v128) (local $u0 v128) (local $u1 v128)
    (local $s0 v128) (local $s1 v128) (local $x0 v128) (local $x1 v128) (local $vc v128) (local $wc v128) (local $uc v128)
    (local $d0 f64) (local $l f64) (local $d1 f64)
    (local.set $end (i32.shl (local.get $m) (i32.const 3)))
    (local.set $last (i32.and (local.get $end) (i32.const -16)))
    (local.set $a0 (local.get $a))
    (block $rowsDone
      (loop $rows
        (br_if $rowsDone (i32.ge_u (local.get $row) (local.get $last)))
        (local.set $a1 (i32.add (local.get $a0) (local.get $lda)))
        (local.set $v0 (v128.load64_splat (i32.add (local.get $v) (local.get $row))))
        (local.set $v1 (v128.load64_splat offset=8 (i32.add (local.get $v) (local.get $row))))
        (local.set $w0 (v128.load64_splat (i32.add (local.get $w) (local.get $row))))
        (local.set $w1 (v128.load64_splat offset=8 (i32.add (local.get $w) (local.get $row))))
        (local.set $u0 (v128.load64_splat (i32.add (local.get $u) (local.get $row))))
        (local.set $u1 (v128.load64_splat offset=8 (i32.add (local.get $u) (local.get $row))))
        (local.set $s0 (v128.const f64x2 0 0))
        (local.set $s1 (v128.const f64x2 0 0))
        (local.set $c (i32.const 0))
        (block $columnsDone
          (loop $columns
            (br_if $columnsDone (i32.ge_u (local.get $c) (local.get $row)))
            (local.set $vc (v128.load (i32.add (local.get $v) (local.get $c))))
            (local.set $wc (v128.load (i32.add (local.get $w) (local.get $c))))
            (local.set $uc (v128.load (i32.add (local.get $u) (local.get $c))))
            (local.set $x0
              (f64x2.sub (v128.load (i32.add (local.get $a0) (local.get $c)))
                (f64x2.add (f64x2.mul (local.get $v0) (local.get $wc)) (f64x2.mul (local.get $w0) (local.get $vc)))))
            (local.set $x1
              (f64x2.sub (v128.load (i32.add (local.get $a1) (local.get $c)))
                (f64x2.add (f64x2.mul (local.get $v1) (local.get $wc)) (f64x2.mul (local.get $w1) (local.get $vc)))))
            (v128.store (i32.add (local.get $a0) (local.get $c)) (local.get $x0))
            (v128.store (i32.add (local.get $a1) (local.get $c)) (local.get $x1))
            (local.set $s0 (f64x2.add (local.get $s0) (f64x2.mul (local.get $x0) (local.get $uc))))
            (local.set $s1 (f64x2.add (local.get $s1) (f64x2.mul (local.get $x1) (local.get $uc))))
            (v128.store (i32.add (local.get $y) (local.get $c))
              (f64x2.add (v128.load (i32.add (local.get $y) (local.get $c)))
                (f64x2.add (f64x2.mul (local.get $x0) (local.get $u0)) (f64x2.mul (local.get $x1) (local.get $u1)))))
            (local.set $c (i32.add (local.get $c) (i32.const 16)))
            (br $columns)))
        ;; the 2 × 2 block on the diagonal
        (local.set $d0
          (f64.sub (f64.load (i32.add (local.get $a0) (local.get $row)))
            (f64.mul (f64.const 2)
              (f64.mul (f64x2.extract_lane 0 (local.get $v0)) (f64x2.extract_lane 0 (local.get $w0))))))
        (local.set $l
          (f64.sub (f64.load (i32.add (local.get $a1) (local.get $row)))
            (f64.add
              (f64.mul (f64x2.extract_lane 0 (local.get $v1)) (f64x2.extract_lane 0 (local.get $w0)))
              (f64.mul (f64x2.extract_lane 0 (local.get $w1)) (f64x2.extract_lane 0 (local.get $v0))))))
        (local.set $d1
          (f64.sub (f64.load offset=8 (i32.add (local.get $a1) (local.get $row)))
            (f64.mul (f64.const 2)
              (f64.mul (f64x2.extract_lane 0 (local.get $v1)) (f64x2.extract_lane 0 (local.get $w1))))))
        (f64.store (i32.add (local.get $a0) (local.get $row)) (local.get $d0))
        (f64.store (i32.add (local.get $a1) (local.get $row)) (local.get $l))
        (f64.store offset=8 (i32.add (local.get $a1) (local.get $row)) (local.get $d1))
        (f64.store (i32.add (local.get $y) (local.get $row))
          (f64.add
            (f64.add (f64x2.extract_lane 0 (local.get $s0)) (f64x2.extract_lane 1 (local.get $s0)))
            (f64.add
              (f64.mul (local.get $d0) (f64x2.extract_lane 0 (local.get $u0)))
              (f64.mul (local.get $l) (f64x2.extract_lane 0 (local.get $u1))))))
        (f64.store offset=8 (i32.add (local.get $y) (local.get $row))
          (f64.add
            (f64.add (f64x2.extract_lane 0 (local.get $s1)) (f64x2.extract_lane 1 (local.get $s1)))
            (f64.add
              (f64.mul (local.get $l) (f64x2.extract_lane 0 (local.get $u0)))
              (f64.mul (local.get $d1) (f64x2.extract_lane 0 (local.get $u1))))))
        (local.set $row (i32.add (local.get $row) (i32.const 16)))
        (local.set $a0 (i32.add (local.get $a1) (local.get $lda)))
        (br $rows)))
    (if (i32.lt_u (local.get $last) (local.get $end))
      (then
        ;; the last row of an odd block; its length, m − 1, is even
        (local.set $v0 (v128.load64_splat (i32.add (local.get $v) (local.get $row))))
        (local.set $w0 (v128.load64_splat (i32.add (local.get $w) (local.get $row))))
        (local.set $u0 (v128.load64_splat (i32.add (local.get $u) (local.get $row))))
        (local.set $s0 (v128.const f64x2 0 0))
        (local.set $c (i32.const 0))
        (block $lastDone
          (loop $columns
            (br_if $lastDone (i32.ge_u (local.get $c) (local.get $row)))
            (local.set $x0
              (f64x2.sub (v128.load (i32.add (local.get $a0) (local.get $c)))
                (f64x2.add
                  (f64x2.mul (local.get $v0) (v128.load (i32.add (local.get $w) (local.get $c))))
                  (f64x2.mul (local.get $w0) (v128.load (i32.add (local.get $v) (local.get $c)))))))
            (v128.store (i32.add (local.get $a0) (local.get $c)) (local.get $x0))
            (local.set $s0
              (f64x2.add (local.get $s0) (f64x2.mul (local.get $x0) (v128.load (i32.add (local.get $u) (local.get $c))))))
            (v128.store (i32.add (local.get $y) (local.get $c))
              (f64x2.add (v128.load (i32.add (local.get $y) (local.get $c))) (f64x2.mul (local.get $x0) (local.get $u0))))
            (local.set $c (i32.add (local.get $c) (i32.const 16)))
            (br $columns)))
        (local.set $d0
          (f64.sub (f64.load (i32.add (local.get $a0) (local.get $row)))
            (f64.mul (f64.const 2)
              (f64.mul (f64x2.extract_lane 0 (local.get $v0)) (f64x2.extract_lane 0 (local.get $w0))))))
        (f64.store (i32.add (local.get $a0) (local.get $row)) (local.get $d0))
        (f64.store (i32.add (local.get $y) (local.get $row))
          (f64.add
            (f64.add (f64x2.extract_lane 0 (local.get $s0)) (f64x2.extract_lane 1 (local.get $s0)))
            (f64.mul (local.get $d0) (f64x2.extract_lane 0 (local.get $u0))))))))

  ;; C ← C + A P for four columns of C: C is rows × 4, A is rows × depth, P is depth × 4 without gaps.
  (func (export "multiplyPanel")
    (param $c i32) (param $ldc i32) (param $a i32) (param $lda i32) (param $p i32) (param $rows i32) (param $depth i32)
    (local $k i32) (local $q i32) (local $end i32) (local $a1 i32) (local $a2 i32) (local $a3 i32)
    (local $l v128) (local $r v128) (local $x v128)
    (local $l0 v128) (local $l1 v128) (local $l2 v128) (local $l3 v128)
    (local $r0 v128) (local $r1 v128) (local $r2 v128) (local $r3 v128)
    (local.set $end (i32.shl (local.get $depth) (i32.const 3)))
    (block $quadsDone
      (loop $quads
        (br_if $quadsDone (i32.lt_s (local.get $rows) (i32.const 4)))
        (local.set $a1 (i32.add (local.get $a) (local.get $lda)))
        (local.set $a2 (i32.add (local.get $a1) (local.get $lda)))
        (local.set $a3 (i32.add (local.get $a2) (local.get $lda)))
        (local.set $l0 (v128.const f64x2 0 0)) (local.set $r0 (v128.const f64x2 0 0))
        (local.set $l1 (v128.const f64x2 0 0)) (local.set $r1 (v128.const f64x2 0 0))
        (local.set $l2 (v128.const f64x2 0 0)) (local.set $r2 (v128.const f64x2 0 0))
        (local.set $l3 (v128.const f64x2 0 0)) (local.set $r3 (v128.const f64x2 0 0))
        (local.set $k (i32.const 0))
        (local.set $q (local.get $p))
        (block $depthDone
          (loop $deep
            (br_if $depthDone (i32.ge_u (local.get $k) (local.get $end)))
            (local.set $l (v128.load (local.get $q)))
            (local.set $r (v128.load offset=16 (local.get $q)))
            (local.set $x (v128.load64_splat (i32.add (local.get $a) (local.get $k))))
            (local.set $l0 (f64x2.add (local.get $l0) (f64x2.mul (local.get $x) (local.get $l))))
            (local.set $r0 (f64x2.add (local.get $r0) (f64x2.mul (local.get $x) (local.get $r))))
            (local.set $x (v128.load64_splat (i32.add (local.get $a1) (local.get $k))))
            (local.set $l1 (f64x2.add (local.get $l1) (f64x2.mul (local.get $x) (local.get $l))))
            (local.set $r1 (f64x2.add (local.get $r1) (f64x2.mul (local.get $x) (local.get $r))))
            (local.set $x (v128.load64_splat (i32.add (local.get $a2) (local.get $k))))
            (local.set $l2 (f64x2.add (local.get $l2) (f64x2.mul (local.get $x) (local.get $l))))
            (local.set $r2 (f64x2.add (local.get $r2) (f64x2.mul (local.get $x) (local.get $r))))
            (local.set $x (v128.load64_splat (i32.add (local.get $a3) (local.get $k))))
            (local.set $l3 (f64x2.add (local.get $l3) (f64x2.mul (local.get $x) (local.get $l))))
            (local.set $r3 (f64x2.add (local.get $r3) (f64x2.mul (local.get $x) (local.get $r))))
            (local.set $q (i32.add (local.get $q) (i32.const 32)))
            (local.set $k (i32.add (local.get $k) (i32.const 8)))
            (br $deep)))
        (call $accumulate (local.get $c) (local.get $l0) (local.get $r0))
        (local.set $c (i32.add (local.get $c) (local.get $ldc)))
        (call $accumulate (local.get $c) (local.get $l1) (local.get $r1))
        (local.set $c (i32.add (local.get $c) (local.get $ldc)))
        (call $accumulate (local.get $c) (local.get $l2) (local.get $r2))
        (local.set $c (i32.add (local.get $c) (local.get $ldc)))
        (call $accumulate (local.get $c) (local.get $l3) (local.get $r3))
        (local.set $c (i32.add (local.get $c) (local.get $ldc)))
        (local.set $a (i32.add (local.get $a3) (local.get $lda)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 4)))
        (br $quads)))
    (block $rowsDone
      (loop $single
        (br_if $rowsDone (i32.eqz (local.get $rows)))
        (local.set $l0 (v128.const f64x2 0 0)) (local.set $r0 (v128.const f64x2 0 0))
        (local.set $k (i32.const 0))
        (local.set $q (local.get $p))
        (block $depthDone
          (loop $deep
            (br_if $depthDone (i32.ge_u (local.get $k) (local.get $end)))
            (local.set $x (v128.load64_splat (i32.add (local.get $a) (local.get $k))))
            (local.set $l0 (f64x2.add (local.get $l0) (f64x2.mul (local.get $x) (v128.load (local.get $q)))))
            (local.set $r0 (f64x2.add (local.get $r0) (f64x2.mul (local.get $x) (v128.load offset=16 (local.get $q)))))
            (local.set $q (i32.add (local.get $q) (i32.const 32)))
            (local.set $k (i32.add (local.get $k) (i32.const 8)))
            (br $deep)))
        (call $accumulate (local.get $c) (local.get $l0) (local.get $r0))
        (local.set $c (i32.add (local.get $c) (local.get $ldc)))
        (local.set $a (i32.add (local.get $a) (local.get $lda)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $single))))

  ;; Adds four numbers to those at c.
  (func $accumulate (param $c i32) (param $l v128) (param $r v128)
    (v128.store (local.get $c) (f64x2.add (v128.load (local.get $c)) (local.get $l)))
    (v128.store offset=16 (local.get $c) (f64x2.add (v128.load offset=16 (local.get $c)) (local.get $r)))))
