defmodule Blanket.Telemetry do
  @moduledoc """
  The events that Blanket tells of.

  They are executed by `:telemetry` when that is there; Blanket does not depend on it. They are about
  kept tables and about what happens to them seldom: nothing that reads or writes a table is an event.

      :telemetry.attach_many("tables", Blanket.Telemetry.events(), &MyApp.Tables.handle/4, nil)

  | event                             | when                                                         | measurements                       | metadata, beside that of all                 |
  | --------------------------------- | ------------------------------------------------------------ | ---------------------------------- | -------------------------------------------- |
  | `[:blanket, :table, :created]`    | a table was created to be kept                               | `:size`                            | `:creator`                                   |
  | `[:blanket, :table, :orphaned]`   | the owner exited; the table waits for the next               | `:size`                            | `:from`, `:reason`                           |
  | `[:blanket, :table, :handed_over]`| a process became the owner                                   | `:duration`, `:hand_overs`, `:size`| `:to`, `:from`, `:reason`, `:via`            |
  | `[:blanket, :table, :claimed]`    | `Blanket.claim_table/2` answered a table                     | `:hand_overs`, `:size`             | `:to`, `:created`                            |
  | `[:blanket, :table, :abandoned]`  | `Blanket.abandon_table/2`: the table is kept no longer       | `:size`                            | `:from`                                      |
  | `[:blanket, :table, :deleted]`    | the table was deleted, or went with its transient owner      |                                    | `:from`, `:reason`                           |
  | `[:blanket, :table, :loading]`    | some more of a durable table was read from its file          | `:loaded`, `:keys`                 | only `:path`                                 |
  | `[:blanket, :table, :loaded]`     | a durable table was read, and created                        | `:keys`, `:duration`               | only `:table`, `:path`                       |
  | `[:blanket, :heir, :restarted]`   | an heir was started in place of one that died                | `:size`                            | `:heir`                                      |

  The measurements:

    * `:size` – how many objects the table holds;
    * `:duration` – for how long the table was an orphan, or how long it took to read it, in native time
      units;
    * `:loaded`, `:keys` – the keys that were read, and those that there are in the file;
    * `:hand_overs` – how often the table has gone from one process to another, this time included.

  `:loading` and `:loaded` are told by the process that creates the table, at once. The metadata of all
  other events are `:table` (its reference), `:name` (of the table), `:kept_as` (the key
  in `Blanket.Registry`), `:module` and `:owner` (as `Blanket.new/4` got them, `nil` for tables of
  `Blanket.claim_table/2`). Others:

    * `:from` – the former owner, `nil` when there was none;
    * `:reason` – why that exited, `:noproc` when it was gone before it could be watched; `nil` when nobody
      knows it, or when it did not exit;
    * `:to` – the new owner;
    * `:via` – how it came to the table: `:receive_table`, `:claim` or `:give_away`;
    * `:created` – whether the table was created by the claim;
    * `:creator`, `:heir` – the process that created the table, and the new heir.

  The handlers run in a process that serves nothing else: one that takes long delays other events, and
  no hand-over. They are told in the order in which they happened to a table. What happens while the
  `:blanket` application is stopped, or in the moment in which an heir is killed, may go untold; the
  count of hand-overs in `Blanket.Inspector.tables/0` is exact.

  ## Messages

  The same is logged: creations, claims and deletions on the level `:debug`, all else on the level
  `:info`. They come from one module, so that they can be silenced:

      Logger.put_module_level(Blanket.Events, :warning)
  """

  require Logger

  @events [
    [:blanket, :table, :created],
    [:blanket, :table, :orphaned],
    [:blanket, :table, :handed_over],
    [:blanket, :table, :claimed],
    [:blanket, :table, :abandoned],
    [:blanket, :table, :deleted],
    [:blanket, :table, :loading],
    [:blanket, :table, :loaded],
    [:blanket, :heir, :restarted]
  ]

  @typedoc "The name of an event."
  @type event :: [atom, ...]

  @doc """
  The names of all events.

      iex> [:blanket, :table, :handed_over] in Blanket.Telemetry.events()
      true
  """
  @spec events() :: [event]
  def events, do: @events

  @doc false
  # It is no dependency, and a module that is not loaded has no handlers attached.
  @spec execute(event, map, map) :: term
  def execute(event, measurements, metadata) do
    if function_exported?(:telemetry, :execute, 3),
      do: Function.capture(:telemetry, :execute, 3).(event, measurements, metadata)
  catch
    kind, reason ->
      Logger.error(
        ":telemetry.execute failed: " <> Exception.format(kind, reason, __STACKTRACE__)
      )
  end
end
