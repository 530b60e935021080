defmodule Blanket.ReferenceTable do
  @moduledoc """
  `:ets` as its documentation has it: with the functions of later releases, and without the flaws of
  earlier ones.
  """

  import Bitwise

  @calls [
    foldl: 3,
    foldr: 3,
    delete: 1,
    delete: 2,
    delete_object: 2,
    first: 1,
    give_away: 3,
    info: 1,
    info: 2,
    file2tab: 2,
    last: 1,
    lookup: 2,
    match_object: 2,
    member: 2,
    next: 2,
    prev: 2,
    rename: 2,
    safe_fixtable: 2,
    select_count: 2,
    select_replace: 2,
    setopts: 2,
    slot: 2,
    tab2list: 1,
    update_element: 3
  ]

  for {function, arity} <- @calls do
    args = Macro.generate_arguments(arity, __MODULE__)
    defdelegate unquote(function)(unquote_splicing(args)), to: :ets
  end

  # In compressed tables of OTP 27, funs like &Enum.map/2 damage the heap of whoever reads them.
  def new(name, options), do: :ets.new(name, Enum.reject(options, &(&1 == :compressed)))

  # Of a list, :ets leaves open which of several objects with one key stays; and OTP 23 to 25.2 insert
  # a list into a bag from its end. Here, a list is inserted from its beginning.
  def insert(table, objects), do: in_order(table, objects, &:ets.insert/2)
  def insert_new(table, objects), do: in_order(table, objects, &:ets.insert_new/2)

  defp in_order(table, [_, _ | _] = objects, insert) do
    # Fails where the list does, changes nothing if a key is known, and tells whether it inserted.
    in_scratch(:duplicate_bag, table, fn scratch ->
      :ets.insert(scratch, objects)
      :ets.insert(table, [])

      if insert == (&:ets.insert_new/2) and Enum.any?(objects, &known?(table, &1)),
        do: false,
        else: Enum.all?(objects, &:ets.insert(table, &1))
    end)
  end

  defp in_order(table, objects, insert), do: insert.(table, objects)

  defp known?(table, object), do: :ets.member(table, elem(object, keypos(table) - 1))

  # When it takes :ets long, the protection is again what it was before setopts/2.
  def delete_all_objects(table) do
    :ets.insert(table, [])
    for object <- :ets.tab2list(table), do: :ets.delete(table, elem(object, keypos(table) - 1))
    true
  end

  # The same where all are deleted by a match specification.
  def match_delete(table, :_), do: delete_all_objects(table)
  def match_delete(table, pattern), do: :ets.match_delete(table, pattern)

  def select_delete(table, [{:_, [], [true]}]) do
    :ets.insert(table, [])
    count = :ets.info(table, :size)
    delete_all_objects(table)
    count
  end

  def select_delete(table, spec), do: :ets.select_delete(table, spec)

  # OTP 29 says of a table that may not be read that there is none.
  def tab2file(table, file, options) do
    with {:error, :badtab} <- :ets.tab2file(table, file, options) do
      if :ets.info(table) == :undefined, do: {:error, :badtab}, else: :erlang.error(:badarg)
    end
  end

  # Begins with delete_all_objects/1.
  def init_table(table, fun) do
    delete_all_objects(table)
    {objects, _fun} = fun.(:read)

    try do
      Enum.each(objects, &:ets.insert(table, &1))
      true
    catch
      :error, reason -> exit({reason, __STACKTRACE__})
    end
  end

  # From a fixed bag, OTP 25 takes what was deleted before once more, and counts below zero.
  def take(table, key) do
    :ets.insert(table, [])
    objects = :ets.lookup(table, key)
    :ets.delete(table, key)
    objects
  end

  def update_counter(table, key, operations),
    do: in_turn(table, key, operations, &:ets.update_counter(&1, key, &2))

  # OTP 25 stores, or dies of, a default that is too small to have a key.
  def update_counter(table, key, operations, default) do
    keypos = keypos(table)

    if is_tuple(default) and is_integer(keypos) and tuple_size(default) < keypos,
      do: update_counter(table, key, operations),
      else: in_turn(table, key, operations, &:ets.update_counter(&1, key, &2, default))
  end

  # Where a list counts an integer of several words again, OTP 25 to 29 write beyond the room that they
  # have reckoned before. A list that fails does so before it counts.
  defp in_turn(table, key, [_, _ | _] = operations, count) do
    if counts?(table, key, operations, count),
      do: Enum.flat_map(operations, &count.(table, [&1])),
      else: count.(table, operations)
  end

  defp in_turn(table, _key, operation, count), do: count.(table, operation)

  defp counts?(table, key, operations, count) do
    in_scratch(:ets.info(table, :type), table, fn scratch ->
      :ets.insert(scratch, :ets.lookup(table, key))
      Enum.each(operations, &count.(scratch, [&1]))
      true
    end)
  rescue
    _ -> false
  end

  # Another table, with its keys where this one has them.
  defp in_scratch(type, table, fun) do
    scratch = :ets.new(:scratch, [type, keypos: keypos(table)])

    try do
      fun.(scratch)
    after
      :ets.delete(scratch)
    end
  end

  defp keypos(table) do
    :ets.info(table, :keypos)
  catch
    :error, :badarg -> :undefined
  end

  # Not of :ets.
  def stream(table), do: :ets.tab2list(table)

  def lookup_many(table, keys) do
    _ = :ets.lookup(table, :key)
    _ = length(keys)
    Enum.map(keys, &:ets.lookup(table, &1))
  end

  def delete_many(table, keys) do
    :ets.insert(table, [])
    _ = length(keys)
    Enum.each(keys, &:ets.delete(table, &1))
    true
  end

  def fetch(table, key) do
    case single(table, key) do
      [object] -> {:ok, object}
      [] -> :error
    end
  end

  def get(table, key, default), do: table |> single(key) |> List.first(default)

  defp single(table, key) do
    objects = :ets.lookup(table, key)
    if :ets.info(table, :type) in [:set, :ordered_set], do: objects, else: :erlang.error(:badarg)
  end

  # From OTP 27 on.
  def first_lookup(table), do: with_objects(table, :ets.first(table))
  def last_lookup(table), do: with_objects(table, :ets.last(table))
  def next_lookup(table, key), do: with_objects(table, :ets.next(table, key))
  def prev_lookup(table, key), do: with_objects(table, :ets.prev(table, key))

  defp with_objects(_table, :"$end_of_table"), do: :"$end_of_table"

  # The key as it is in the table: an ordered_set finds 1.0 by 1.
  defp with_objects(table, key), do: {key, :ets.lookup(table, key)}

  # Of a position, OTP 25 sees the last 32 bits only.
  def lookup_element(table, key, pos) do
    _ = :ets.lookup(table, key)
    if is_integer(pos) and pos > 0xFFFFFF, do: :erlang.error(:badarg)
    :ets.lookup_element(table, key, pos)
  end

  # From OTP 26 on.
  def lookup_element(table, key, pos, default) do
    cond do
      :ets.member(table, key) -> lookup_element(table, key, pos)
      is_integer(pos) and pos in 1..((1 <<< 59) - 1) -> default
      true -> :erlang.error(:badarg)
    end
  end

  # From OTP 27 on.
  def update_element(table, key, elements, default) do
    cond do
      not is_tuple(default) ->
        :erlang.error(:badarg)

      :ets.update_element(table, key, elements) ->
        true

      true ->
        :ets.insert(table, updated(key, elements, default, :ets.info(table, :keypos)))
    end
  end

  defp updated(key, elements, default, keypos) do
    scratch = :ets.new(:scratch, keypos: keypos)
    :ets.insert(scratch, put_elem(default, keypos - 1, key))
    true = :ets.update_element(scratch, key, elements)
    :ets.lookup(scratch, key) |> hd()
  end
end
