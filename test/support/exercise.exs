# A short program for bin/sanitize: each kind of object in each type of table, written, read and deleted, in
# so small numbers that it ends under Valgrind.

alias Blanket.Table

{:ok, _} = Application.ensure_all_started(:blanket)

objects = [
  &{&1, &1},
  &{&1, "text", %{number: &1}, [1.5, &1]},
  &{&1, String.duplicate("x", 100), make_ref()}
]

for type <- [:set, :ordered_set, :bag, :duplicate_bag], object <- objects do
  table = Table.new(:exercise, [type, :public])
  numbers = 1..300
  for number <- numbers, do: Table.insert(table, object.(number))
  for number <- numbers, do: Table.insert(table, object.(number))
  true = Table.insert(table, Enum.map(numbers, object))
  [_ | _] = Table.lookup(table, 7)
  [_ | _] = Table.select(table, [{{:"$1", :_}, [{:>, :"$1", 5}], [:"$1"]}, {:_, [], [:"$_"]}])
  for number <- numbers, rem(number, 3) > 0, do: Table.delete(table, number)
  100 = table |> Table.tab2list() |> Enum.uniq_by(&elem(&1, 0)) |> length()
  true = Table.delete_all_objects(table)
  true = Table.delete(table)
end

IO.puts("done")
