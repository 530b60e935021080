defmodule Blanket.Terms do
  @moduledoc """
  Terms that are easily taken for one another, or stored wrongly.
  """

  import Bitwise

  @doc """
  Numbers around the bounds of representations, in their several guises.
  """
  def numbers do
    [
      0,
      1,
      1.0,
      -1,
      -1.0,
      0.0,
      -0.0,
      2,
      2.5,
      (1 <<< 53) - 1,
      1 <<< 53,
      (1 <<< 53) + 1,
      9_007_199_254_740_992.0,
      (1 <<< 59) - 1,
      1 <<< 59,
      -(1 <<< 59),
      -(1 <<< 59) - 1,
      576_460_752_303_423_488.0,
      (1 <<< 63) - 1,
      1 <<< 63,
      1 <<< 64,
      18_446_744_073_709_551_616.0,
      (1 <<< 64) + 1,
      -(1 <<< 64),
      1 <<< 2000,
      -(1 <<< 2000),
      1.7e308,
      -1.7e308,
      5.0e-324,
      -5.0e-324,
      0.1
    ]
  end

  @doc """
  Terms of every other kind. Those that a process makes (references, funs) are made anew by each call.
  """
  def others do
    binary = :binary.copy("0123456789abcdef", 8)
    {:ok, socket} = :gen_udp.open(0)
    :gen_udp.close(socket)
    resource = Blanket.Table.new(:term, [])
    Blanket.Table.delete(resource)

    [
      :a,
      :b,
      :"",
      nil,
      :été,
      :привет,
      :日本,
      make_ref(),
      make_ref(),
      fn x -> x end,
      fn x -> {x, binary} end,
      &Enum.map/2,
      &Enum.reduce/3,
      socket,
      :atomics.new(1, []),
      resource,
      self(),
      Process.whereis(:init),
      {},
      {1},
      {1.0},
      {1, 2},
      {1, {2, {3, 1.0}}},
      {1, {2, {3, 1}}},
      {:user, 1, "abc"},
      {:user, 1, "abd"},
      %{},
      %{1 => :a},
      %{1.0 => :a},
      %{a: 1},
      %{a: 1.0},
      Map.new(1..40, &{&1, {&1}}),
      [],
      [1],
      [1.0],
      [1, 2 | 3],
      ~c"charlist",
      [[[]]],
      "",
      "a",
      "b",
      <<0>>,
      <<0, 0>>,
      <<1::1>>,
      <<0::7>>,
      "prefix-shared-by-many-keys-1",
      "prefix-shared-by-many-keys-10",
      "prefix-shared-by-many-keys-2",
      binary,
      binary_part(binary, 1, 70),
      binary_part(binary, 1, 10),
      <<binary::binary, 3::5>>,
      for(i <- 1..50, do: {i, "one of many pairs", :alike}),
      %{long: String.duplicate("easily compressed ", 40), zero: 0.0},
      Map.new(1..60, &{&1, [&1, "value", %{same: true}]})
    ] ++ records(binary)
  end

  # Native records, which came with OTP 29. Looking for a module that is not there takes long.
  @has_records Code.ensure_loaded?(:records)

  defp records(binary) do
    if @has_records do
      for {name, fields} <- [
            point: [x: 1, y: 2],
            point: [x: 1, y: 2.0],
            point: [x: 1.0, y: -0.0],
            pair: [x: [1, {2}], y: &Enum.map/2],
            pair: [x: binary, y: binary_part(binary, 3, 9)],
            one: [only: %{}]
          ],
          do: apply(:records, :create, [:geometry, name, fields, %{is_exported: true}])
    else
      []
    end
  end

  @doc """
  Terms of megabytes, tuples of 100,000 elements and others that are large or deep.
  """
  def huge do
    [
      :binary.copy("megabytes ", 300_000),
      Enum.to_list(1..100_000),
      Tuple.duplicate(:element, 100_000),
      1..100_000 |> Enum.map(&{&1, "#{&1}"}) |> List.to_tuple(),
      Map.new(1..20_000, &{{:key, &1}, [&1]}),
      Enum.reduce(1..20_000, [], &[&2, &1]),
      1 <<< 1_000_000
    ]
  end

  @doc """
  A generator of keys that differ late, early or hardly: prefixed binaries, tuples, lists, numbers.
  """
  def key do
    :proper_types.frequency([
      {4, :proper_types.integer()},
      {2, :proper_types.float()},
      {2, :proper_types.elements(numbers())},
      {2, near(:proper_types.elements(numbers()))},
      {2, :proper_types.elements(others())},
      {2, :proper_types.binary()},
      {4, prefixed()},
      {3, :proper_types.tuple([:user, :proper_types.range(0, 2000), "abc"])},
      {2, :proper_types.tuple([:proper_types.elements([1, 1.0, :a, "a"]), prefixed()])},
      {2, :proper_types.list(:proper_types.range(0, 3))},
      {1, :proper_types.bitstring()},
      {1, :proper_types.resize(6, :proper_types.any())}
    ])
  end

  defp prefixed do
    bind(
      :proper_types.tuple([:proper_types.elements([3, 7, 8, 9, 16, 39, 40, 41, 80]), tail()]),
      fn {size, tail} -> :binary.copy("p", size) <> tail end
    )
  end

  defp tail do
    :proper_types.oneof([
      :proper_types.resize(3, :proper_types.binary()),
      bind(:proper_types.range(0, 3000), &Integer.to_string/1)
    ])
  end

  defp near(number) do
    bind(:proper_types.tuple([number, :proper_types.range(-2, 2)]), fn
      {number, step} when is_integer(number) -> number + step
      {number, _step} -> number
    end)
  end

  defp bind(generator, fun), do: :proper_types.bind(generator, fun, false)
end
