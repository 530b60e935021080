defmodule Blanket.Table.GarbageTest do
  use ExUnit.Case, async: false

  # What was overwritten or deleted is given back as fast as it comes about, however large the objects
  # and however many of them go in one call.

  import Blanket.Test.Eventually

  alias Blanket.Table

  @bytes 400_000_000

  # Runs `write`, which leaves so many bytes of garbage, until there would be @bytes of it.
  defp assert_stays_small(bytes, write) do
    before = :erlang.memory(:total)
    for i <- 1..div(@bytes, bytes), do: write.(i)
    assert :erlang.memory(:total) - before < @bytes / 2
  end

  test "of large objects" do
    table = Table.new(:garbage, [])
    list = Enum.to_list(1..500)
    assert_stays_small(8_000, &Table.insert(table, {rem(&1, 10), list}))
  end

  test "of objects with large binaries" do
    table = Table.new(:garbage, [:ordered_set])
    binary = :binary.copy("x", 8_000)
    assert_stays_small(8_000, &Table.insert(table, {rem(&1, 10), :binary.copy(binary)}))
  end

  test "of short lists of objects" do
    table = Table.new(:garbage, [])
    list = Enum.to_list(1..60)
    objects = for key <- 1..60, do: {key, list}
    assert_stays_small(60 * 960, fn _ -> Table.insert(table, objects) end)
  end

  test "of long lists of objects, and of objects that were selected" do
    table = Table.new(:garbage, [:ordered_set])
    list = Enum.to_list(1..60)
    objects = for key <- 1..5_000, do: {key, list}

    assert_stays_small(5_000 * 960, fn _ ->
      Table.insert(table, objects)
      Table.select_delete(table, [{:_, [], [true]}])
    end)
  end

  test "of the work of a call that took long, which goes with the call" do
    table = Table.new(:garbage, [])
    # What cannot be copied word by word is copied once more on its way.
    large = [fn -> table end | Enum.to_list(1..10_000)]
    objects = for key <- 1..50, do: {key, large}
    # Nothing waits for a garbage collection of the caller.
    Process.flag(:min_heap_size, 5_000_000)
    :erlang.garbage_collect()
    before = :erlang.memory(:total)
    for _ <- 1..20, do: Table.insert(table, objects)
    assert :erlang.memory(:total) - before < 80_000_000
  end

  test "that came last is given back when nothing else happens" do
    table = Table.new(:garbage, [])
    Table.insert(table, {1, Enum.to_list(1..4_000_000)})
    full = :erlang.memory(:system)
    Table.delete(table, 1)
    eventually(fn -> full - :erlang.memory(:system) > 50_000_000 end)
  end
end
